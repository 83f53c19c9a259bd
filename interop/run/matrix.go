// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
	"github.com/xnode-p2p/xnode/interop/internal/process"
)

// row is one ordered pair of peers in one suite, over one stack.
type row struct {
	Suite  string      `json:"suite"`
	Server string      `json:"server"`
	Client string      `json:"client"`
	Stack  peers.Stack `json:"stack"`
	Cells  []cell      `json:"cells"` // one an operation

	server, client peers.Peer
	own            peers.Peer  // this project's, in suiteDelegated and suiteRendezvous
	network        *dhtNetwork // that the row is of, in suiteNetwork

	relay   *peers.Peer  // between the two, in suiteRelay and over stacks that begin at one
	members []peers.Peer // who talks, in suiteTopic and suiteMixed
	ways    []string     // of pub/sub
}

// The suites.
const (
	suiteStack   = "stack"   // a connection and what every peer serves
	suiteDHT     = "dht"     // a server of a DHT and its clients
	suiteNetwork = "network" // a DHT of peers of several kinds
	suiteTopic   = "topic"   // messages on a topic, of a pair
	suiteMixed   = "mixed"   // the same of peers of all kinds
	suiteControl = "control" // control messages of gossipsub, in the trace of this project's peer

	suiteDelegated = "delegated" // a server of delegated routing over HTTP, and its client
	suiteRelay     = "relay"     // a connection through a relay

	suiteAutoNAT = "autonat" // whether one can be reached

	suiteRendezvous = "rendezvous" // a rendezvous point, and who asks it

	suiteHTTP = "http" // HTTP over a stream
)

// over says what a row runs on.
func (r *row) over() string {
	switch r.Suite {
	case suiteDHT:
		return "dht"
	case suiteDelegated:
		return "routing over http"
	case suiteRendezvous:
		return "rendezvous"
	case suiteHTTP:
		return "http"
	case suiteNetwork:
		return r.network.String()
	case suiteTopic:
		return "pubsub"
	case suiteAutoNAT:
		return "autonat"
	case suiteRelay:
		return "through " + r.relay.Name
	case suiteControl:
		return "control of gossipsub"
	case suiteMixed:
		return fmt.Sprintf("pubsub of %d", len(r.members))
	}
	return r.Stack.String()
}

// cell is the outcome of one operation.
type cell struct {
	Operation string  `json:"operation"`
	OK        bool    `json:"ok"`
	Seconds   float64 `json:"seconds"`
	// Error is why it did not work.
	Error string `json:"error,omitempty"`
	// Known is why the peer cannot do this.
	Known string `json:"known,omitempty"`
}

// failed tells whether the outcome is another one than the expected.
func (c cell) failed() bool { return c.OK == (c.Known != "") }

func (r row) failed() bool {
	for _, c := range r.Cells {
		if c.failed() {
			return true
		}
	}
	return false
}

// plan lists the rows: the first peer with itself, then with every other one,
// either side serving; the stacks first.
func plan(all []peers.Peer) []*row {
	var rows []*row
	add := func(server, client peers.Peer) {
		for _, s := range peers.Common(server, client) {
			r := &row{Suite: suiteStack, Server: server.Name, Client: client.Name, Stack: s, server: server, client: client}
			if s.ThroughRelay() {
				r.relay = &all[0]
			}
			rows = append(rows, r)
		}
	}
	addDHT := func(server, client peers.Peer) {
		if peers.CommonDHT(server, client) == "" {
			return
		}
		rows = append(rows, &row{Suite: suiteDHT, Server: server.Name, Client: client.Name, Stack: dhtStack, server: server, client: client})
	}
	own := all[0]
	addDelegated := func(server, client peers.Peer) {
		if !server.ServesDelegated || !client.AsksDelegated || peers.CommonDHT(server, own) == "" {
			return
		}
		rows = append(rows, &row{Suite: suiteDelegated, Server: server.Name, Client: client.Name, Stack: dhtStack, server: server, client: client, own: own})
	}
	addRendezvous := func(server, client peers.Peer) {
		if !server.Rendezvous || !client.Rendezvous {
			return
		}
		rows = append(rows, &row{Suite: suiteRendezvous, Server: server.Name, Client: client.Name, Stack: dhtStack, server: server, client: client, own: own})
	}
	addHTTP := func(server, client peers.Peer) {
		if !server.HTTP || !client.HTTP {
			return
		}
		rows = append(rows, &row{Suite: suiteHTTP, Server: server.Name, Client: client.Name, Stack: dhtStack, server: server, client: client})
	}
	for _, add := range []func(server, client peers.Peer){add, addDHT, addDelegated, addRendezvous, addHTTP} {
		add(own, own)
		for _, other := range all[1:] {
			add(own, other)
			add(other, own)
		}
	}
	for _, w := range networks(all) {
		rows = append(rows, w.rows()...)
	}
	return slices.Concat(rows, relayRows(all), autonatRows(all), topicRows(all), controlRows(all))
}

// matrix runs rows.
type matrix struct {
	only       filter
	timeout    time.Duration // of one cell of a stack
	settle     time.Duration // how long what a DHT does is tried again
	parallel   int           // rows at a time
	networkKey string        // file with the key of the private network
	log        io.Writer

	mu   sync.Mutex // guards log, done, networks
	done int        // rows
	// networks counts those that were made.
	networks int
}

// run fills in the cells of all rows.
func (m *matrix) run(ctx context.Context, rows []*row) {
	var wg sync.WaitGroup
	next := make(chan *row)
	for range m.parallel {
		wg.Go(func() {
			for r := range next {
				switch r.Suite {
				case suiteDHT:
					m.fillDHT(ctx, r)
				case suiteNetwork:
					m.fillNetwork(ctx, r)
				case suiteDelegated:
					m.fillDelegated(ctx, r)
				case suiteRelay:
					m.fillRelay(ctx, r)
				case suiteAutoNAT:
					m.fillAutoNAT(ctx, r)
				case suiteRendezvous:
					m.fillRendezvous(ctx, r)
				case suiteTopic, suiteMixed:
					m.fillTopic(ctx, r)
				case suiteControl:
					m.fillControl(ctx, r)
				default:
					m.fill(ctx, r)
				}
				m.tell(r, len(rows))
			}
		})
	}
	for _, r := range rows {
		next <- r
	}
	close(next)
	wg.Wait()
}

// tell writes how far the rows are, and how the last one ended.
func (m *matrix) tell(r *row, of int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done++
	seconds := 0.0
	for _, c := range r.Cells {
		seconds += c.Seconds
	}
	fmt.Fprintf(m.log, "%d/%d %s dials %s, %s: %s (%.1f s)\n", m.done, of, r.Client, r.Server, r.over(), r.mark(), seconds)
}

// words are the command line of a command over the row's stack.
func (m *matrix) words(r *row, words ...string) []string {
	words = append(words, r.Stack.Flags()...)
	if r.Stack.Private {
		words = append(words, "--pnet", m.networkKey)
	}
	return words
}

// fill runs the operations of one row against one server.
func (m *matrix) fill(ctx context.Context, r *row) {
	servers, addr, err := m.serve(ctx, r)
	for _, op := range operations(r.Suite) {
		c := cell{Operation: op.name, Known: knownReason(r, op.name)}
		if err == nil {
			begun := time.Now()
			if failure := m.try(ctx, r, op, addr); failure != nil {
				c.Error = failure.Error()
			}
			c.OK, c.Seconds = c.Error == "", time.Since(begun).Seconds()
		} else {
			c.Error = err.Error()
		}
		r.Cells = append(r.Cells, c)
	}
	for _, s := range slices.Backward(servers) {
		if err := s.Close(); err != nil && ctx.Err() == nil {
			m.mu.Lock()
			fmt.Fprintf(m.log, "%s: server of %s over %s: %v\n", r.Server, r.Client, r.Stack, err)
			m.mu.Unlock()
		}
	}
}

// serve starts the server of a row, and before it the relay at which that has a
// place, where there is one. The address is the server's, for the row's stack.
func (m *matrix) serve(ctx context.Context, r *row) (running []*process.Server, addr string, err error) {
	start := func(argv []string) (addrs []string, err error) {
		var ready struct{ Addrs []string }
		s, err := process.Start(ctx, argv, &ready)
		if err == nil {
			running = append(running, s)
			if len(ready.Addrs) == 0 {
				err = errors.New("no address")
			}
		}
		return ready.Addrs, err
	}
	words := []string{"listen"}
	if r.Suite == suiteHTTP {
		words = append(words, "--http")
	}
	if r.relay != nil {
		relay, err := start(r.relay.Command(append([]string{"listen", "--relay-service"}, relayStack.Flags()...)...))
		if err != nil {
			return running, "", fmt.Errorf("relay: %w", err)
		}
		words = append(words, "--reserve", relay[0])
	}
	addrs, err := start(r.server.Command(m.words(r, words...)...))
	if err != nil {
		return running, "", fmt.Errorf("server: %w", err)
	}
	if r.relay == nil {
		return running, addrs[0], nil
	}
	at := slices.IndexFunc(addrs, func(a string) bool { return strings.Contains(a, "/p2p-circuit/"+r.Stack.Transport+"/") })
	if at < 0 {
		return running, "", fmt.Errorf("server: no address for %s: %s", r.Stack, addrs)
	}
	return running, addrs[at], nil
}

// try runs one operation and checks what it says.
func (m *matrix) try(ctx context.Context, r *row, op operation, addr string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, m.timeout, fmt.Errorf("no end within %v", m.timeout))
	defer cancel()
	words := m.words(r, append([]string{op.name, addr}, op.flags...)...)
	var result map[string]any
	if err := process.Run(ctx, r.client.Command(words...), &result); err != nil {
		return err
	}
	return op.check(r, result)
}
