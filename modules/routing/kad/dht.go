// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
)

const (
	// maxCandidates is how many peers wait to be asked whether they are of use.
	// One more is left out; it has its chance when it is heard of again.
	maxCandidates = 256
	// maxProbes is how many are asked at a time.
	maxProbes = 8
	// sweepTime is how often streams that are idle for long are looked for.
	sweepTime = 15 * time.Second
)

// dht is this node's part of one network: a routing table, what is kept for
// others, and the answers to their requests.
type dht struct {
	kad      *Kad
	node     core.Node
	log      *slog.Logger
	protocol string
	scope    scope

	contacts   *contacts
	lines      *lines
	guests     guests
	providers  *providers
	values     *values
	saved      core.Table // see saveContacts
	kept       *kept
	keptValues *keptValues
	sizes      *sizes
	atlas      atlas
	stats      counters

	done       chan struct{} // closed when it is to end
	wg         sync.WaitGroup
	wakeMode   chan struct{} // says that the mode may be another; has room for one
	wakeStore  chan struct{} // says that providers wait to be stored; has room for one
	wakeFill   chan struct{} // says that the table wants to be filled; has room for one
	candidates chan peer.ID  // has room for maxCandidates

	mu       sync.Mutex
	closed   bool
	calls    map[int]context.CancelCauseFunc // those that begin began
	nextCall int

	unsubscribe func()
	reach       atomic.Uint32 // a core.Reachability
	server      atomic.Bool   // whether it answers
	removal     func()        // of the handler; of the goroutine of run
}

// counters count requests.
type counters struct {
	served, asked            [kadwire.Types]atomic.Uint64
	refused, delayed, failed atomic.Uint64
}

// newDHT opens the tables of a network and begins to take part in it.
func newDHT(k *Kad, node core.Node, storage core.Storage, protocol string, s scope) (*dht, error) {
	d := &dht{
		kad: k, node: node, log: k.log.With("protocol", protocol), protocol: protocol, scope: s,
		lines:      newLines(node, protocol),
		calls:      make(map[int]context.CancelCauseFunc),
		done:       make(chan struct{}),
		wakeMode:   make(chan struct{}, 1),
		wakeStore:  make(chan struct{}, 1),
		wakeFill:   make(chan struct{}, 1),
		candidates: make(chan peer.ID, maxCandidates),
	}
	d.sizes = newSizes(k)
	d.contacts = newContacts(k, node, s)
	d.providers, d.values, d.kept, d.keptValues = newProviders(k), newValues(k), new(kept), new(keptValues)
	if err := d.openTables(storage); err != nil {
		return nil, err
	}
	d.restoreContacts()
	d.unsubscribe = node.Subscribe(d.event)
	for _, c := range node.Conns() {
		d.consider(c.RemotePeer())
	}
	d.setServer(d.wantServer())
	d.wg.Go(d.run)
	d.wg.Go(d.storeProviders)
	d.wg.Go(d.fill)
	if k.Accelerated != nil && s != scopeLan {
		d.wg.Go(d.draw)
	}
	for range maxProbes {
		d.wg.Go(d.probe)
	}
	return d, nil
}

// openTables opens what is kept for others, and for the next run.
func (d *dht) openTables(storage core.Storage) error {
	for _, t := range []struct {
		name  string
		quota core.Quota
		table *core.Table
	}{
		{"providers", core.Quota{Bytes: d.kad.MaxProviders}, &d.providers.table},
		{"records", core.Quota{Bytes: d.kad.MaxRecords}, &d.values.table},
		{"peers", core.Quota{Entries: maxSaved}, &d.saved},
		{"kept", core.Quota{}, &d.kept.table},
		{"kept-records", core.Quota{}, &d.keptValues.table},
	} {
		opened, err := storage.Table("kad"+d.protocol+"/"+t.name, t.quota)
		if err != nil {
			return errors.Join(fmt.Errorf("%s of %s: %w", t.name, d.protocol, err), d.closeTables())
		}
		*t.table = opened
	}
	return nil
}

func (d *dht) closeTables() error {
	var errs []error
	for _, t := range []core.Table{d.providers.table, d.values.table, d.saved, d.kept.table, d.keptValues.table} {
		if t != nil {
			errs = append(errs, t.Close())
		}
	}
	return errors.Join(errs...)
}

// close ends all that the DHT does.
func (d *dht) close() error {
	d.unsubscribe()
	d.mu.Lock()
	d.closed = true
	close(d.done)
	for _, cancel := range d.calls {
		cancel(net.ErrClosed)
	}
	d.mu.Unlock()
	d.wg.Wait()
	d.setServer(false)
	d.lines.close()
	if err := d.providers.store(time.Now()); err != nil {
		d.log.Warn("providers are lost", "error", err)
	}
	d.saveContacts()
	return d.closeTables()
}

// begin returns a context for something that the DHT does, or is asked to do. It
// ends with the DHT, which waits for end to be called. A timeout of zero is none.
func (d *dht) begin(parent context.Context, timeout time.Duration) (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(parent)
	free := func() {}
	if timeout > 0 {
		ctx, free = context.WithTimeout(ctx, timeout)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		cancel(net.ErrClosed)
		return ctx, free
	}
	id := d.nextCall
	d.nextCall++
	d.calls[id] = cancel
	d.wg.Add(1)
	return ctx, func() {
		free()
		cancel(nil)
		d.mu.Lock()
		delete(d.calls, id)
		d.mu.Unlock()
		d.wg.Done()
	}
}

// spawn runs f on a goroutine of the DHT, unless that has ended.
func (d *dht) spawn(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.wg.Go(f)
	}
}

// event notes what happens on the node.
func (d *dht) event(event any) {
	switch e := event.(type) {
	case core.Identified:
		d.consider(e.Conn.RemotePeer())
	case core.PeerProtocolsChanged:
		if slices.Contains(e.Removed, d.protocol) {
			d.contacts.remove(e.Peer)
		} else if slices.Contains(e.Added, d.protocol) {
			d.consider(e.Peer)
		}
	case core.Connected:
		d.contacts.setConnected(e.Conn.RemotePeer(), true)
	case core.Disconnected:
		if e.Last {
			d.contacts.setConnected(e.Conn.RemotePeer(), false)
			d.lines.hangUp(e.Conn.RemotePeer())
		}
	case core.ReachabilityChanged:
		d.reach.Store(uint32(e.Reachability))
		wake(d.wakeMode)
	case core.LocalAddrsChanged:
		wake(d.wakeMode)
	}
}

// wake sends on a channel that has room for one.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// consider makes a peer a candidate for the routing table if it says that it
// speaks the protocol.
func (d *dht) consider(p peer.ID) {
	if !slices.Contains(d.node.PeerProtocols(p), d.protocol) {
		d.contacts.remove(p) // it was a server once
		return
	}
	if d.contacts.has(p) {
		d.contacts.refresh(p)
		return
	}
	if !d.contacts.candidate(p) {
		return
	}
	select {
	case d.candidates <- p:
	default:
	}
}

// run looks after the mode and the streams.
func (d *dht) run() {
	sweep := time.NewTicker(sweepTime)
	defer sweep.Stop()
	for {
		select {
		case <-d.done:
			return
		case <-d.wakeMode:
			if server := d.wantServer(); server != d.server.Load() {
				d.log.Info("mode", "server", server)
				d.setServer(server)
			}
		case now := <-sweep.C:
			d.lines.sweep(now)
		}
	}
}

// storeProviders stores what is pending, a moment after there is something.
func (d *dht) storeProviders() {
	for {
		select {
		case <-d.done:
			return
		case <-d.wakeStore:
		}
		timer := time.NewTimer(maxPendingTime)
		select {
		case <-d.done:
			timer.Stop()
			return
		case now := <-timer.C:
			if err := d.providers.store(now); err != nil {
				d.log.Warn("providers are lost", "error", err)
			}
		}
	}
}

// probe asks candidates something. Those that answer well come into the table.
func (d *dht) probe() {
	for {
		select {
		case <-d.done:
			return
		case p := <-d.candidates:
			ctx, end := d.begin(context.Background(), time.Duration(d.kad.RequestTimeout))
			if _, err := d.ask(core.NoDial(ctx), p, kadwire.FindNode, []byte(d.node.ID())); err != nil {
				d.log.Debug("candidate", "peer", p, "error", err)
			}
			end()
		}
	}
}

// ask sends a request to a peer. If the answer is a good one the peer is noted as
// one of use, and otherwise as one that is not.
func (d *dht) ask(ctx context.Context, p peer.ID, t kadwire.Type, key []byte) (*kadwire.Message, error) {
	message := kadwire.NewBuffer(t, key, 0)
	defer message.Free()
	d.stats.asked[t].Add(1)
	d.remind(p)
	answer, err := d.lines.request(ctx, p, t, message.Frame())
	return answer, d.judge(ctx, p, err)
}

// remind lets the node know where a member of the routing table is, which it may
// have forgotten since they were connected.
func (d *dht) remind(p peer.ID) {
	if len(d.node.ConnsTo(p)) > 0 || len(d.node.PeerAddrs(p)) > 0 {
		return
	}
	if addrs := d.contacts.addrs(p); len(addrs) > 0 {
		d.node.AddPeerAddrs(p, core.TempTTL, addrs...)
	}
}

// exchange is ask with a message, for look-ups: once the peer is connected, the
// answer is awaited for the usual time whatever becomes of ctx. It is of use
// even if the look-up has ended, and a stream is not worth its end.
func (d *dht) exchange(ctx context.Context, p peer.ID, t kadwire.Type, frame []byte) (*kadwire.Message, error) {
	d.stats.asked[t].Add(1)
	d.remind(p)
	limit := time.Duration(d.kad.RequestTimeout)
	dialing, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := d.lines.prepare(dialing, p); err != nil {
		return nil, d.judge(dialing, p, err)
	}
	ctx, end := d.begin(context.WithoutCancel(ctx), limit)
	defer end()
	answer, err := d.lines.request(ctx, p, t, frame)
	return answer, d.judge(ctx, p, err)
}

// judge notes what came of a request to a peer, and returns its error.
func (d *dht) judge(ctx context.Context, p peer.ID, err error) error {
	switch {
	case err == nil:
		if d.contacts.answered(p) {
			wake(d.wakeFill)
		}
	case ctx.Err() != context.Canceled: // then it is not the peer's fault
		d.stats.failed.Add(1)
		d.contacts.failed(p)
	}
	return err
}

// addrOf returns the address at which a peer is connected; nil if it is not any
// more.
func (d *dht) addrOf(p peer.ID) ma.Multiaddr {
	for _, c := range d.node.ConnsTo(p) {
		return c.RemoteMultiaddr()
	}
	return nil
}
