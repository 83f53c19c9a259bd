// SPDX-License-Identifier: Apache-2.0 OR MIT

package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// askTimeout bounds a request, dialling included.
	askTimeout = 30 * time.Second
	// byeTimeout bounds the end of a registration.
	byeTimeout = 2 * time.Second
	// maxToldAddrs bounds the addresses in a registration, so that it fits.
	maxToldAddrs = 24
)

// client asks one rendezvous point.
type client struct {
	node     core.Node
	point    peer.AddrInfo
	unsigned bool            // it may be one without signatures
	form     atomic.Int32    // which [form] of records the point, or the configuration, wants
	changed  chan<- struct{} // told that the node's addresses have changed
}

// form is a form of records.
type form int32

const (
	formSigned form = iota
	formLegacy
	formUnsigned
)

func newClient(n core.Node, point peer.AddrInfo, legacy, unsigned bool) *client {
	c := &client{node: n, point: point, unsigned: unsigned}
	if legacy {
		c.form.Store(int32(formLegacy))
	}
	return c
}

// ask sends a request and returns the answer, which must be of a kind; none is
// waited for if that is a request's. The point may be reached by a relay, as
// long as it does not bound connections.
func (c *client) ask(ctx context.Context, m *message, want kind) (answer *message, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if !core.DialForbidden(ctx) {
		if _, err := c.node.Connect(ctx, c.point); err != nil {
			return nil, err
		}
	}
	s, err := c.node.NewStream(ctx, c.point.ID, ID)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { s.Reset(core.StreamNoError) })()
	defer func() {
		if err != nil {
			s.Reset(core.StreamNoError)
		} else {
			s.Close()
		}
	}()
	if err := wire.WriteMessage(s, m.marshal()); err != nil {
		return nil, err
	}
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	if want == unregister {
		return nil, nil
	}
	b, err := wire.ReadMessage(s, maxAnswer)
	if err != nil {
		return nil, err
	}
	if answer, err = unmarshal(b); err != nil {
		return nil, err
	}
	if answer.kind != want {
		return nil, fmt.Errorf("an answer of type %d, want %d", answer.kind, want)
	}
	if answer.status != ok {
		return nil, &refusal{answer.status, answer.text}
	}
	return answer, nil
}

// fail names the point in an error.
func (c *client) fail(what, namespace string, err error) error {
	return fmt.Errorf("%s %q at %s: %w", what, namespace, c.point.ID.Short(), err)
}

// register registers the node and returns for how long. A point that does not
// take the record gets it in another form.
func (c *client) register(ctx context.Context, namespace string, ttl time.Duration) (time.Duration, error) {
	first := form(c.form.Load())
	got, err := c.registerAs(ctx, namespace, ttl, first)
	if err == nil {
		return got, nil
	}
	for _, other := range c.others(first, err) {
		if ctx.Err() != nil {
			break
		}
		if again, err := c.registerAs(ctx, namespace, ttl, other); err == nil {
			c.form.Store(int32(other))
			return again, nil
		}
	}
	return 0, c.fail("register", namespace, err)
}

// others are the forms of records that are worth trying after one has failed.
func (c *client) others(first form, err error) (list []form) {
	no, refused := errors.AsType[*refusal](err)
	// rust-libp2p says nothing at all about a record that it cannot read.
	unread := refused && no.status == invalidRecord || errors.Is(err, io.EOF) || errors.Is(err, core.ErrReset)
	if unread && first == formSigned {
		list = append(list, formLegacy)
	}
	// py-libp2p takes the key in a signed record for the ID of somebody else.
	if c.unsigned && first != formUnsigned && (unread || refused && no.status == notAuthorized) {
		list = append(list, formUnsigned)
	}
	return list
}

func (c *client) registerAs(ctx context.Context, namespace string, ttl time.Duration, as form) (time.Duration, error) {
	env, err := c.record(as)
	if err != nil {
		return 0, err
	}
	m := &message{kind: register, namespace: &namespace, record: env, ttl: new(uint64(ttl / time.Second))}
	answer, err := c.ask(ctx, m, registerResponse)
	if err != nil {
		return 0, err
	}
	if answer.ttl != nil {
		ttl = time.Duration(min(*answer.ttl, uint64(longestTTL/time.Second))) * time.Second
	}
	return ttl, nil
}

// record is what the node tells of itself.
func (c *client) record(as form) ([]byte, error) {
	addrs := c.node.Addrs()
	if len(addrs) == 0 {
		return nil, errors.New("the node has no addresses to tell")
	}
	addrs = addrs[:min(len(addrs), maxToldAddrs)]
	seal := record.SealPeerRecord
	switch as {
	case formLegacy:
		seal = record.SealLegacyPeerRecord
	case formUnsigned:
		return appendUnsigned(nil, peer.AddrInfo{ID: c.node.ID(), Addrs: addrs}), nil
	}
	return seal(c.node, &record.PeerRecord{ID: c.node.ID(), Seq: uint64(max(0, time.Now().UnixNano())), Addrs: addrs})
}

// unregister ends a registration, if there is a connection to the point.
func (c *client) unregister(namespace string) {
	ctx, cancel := context.WithTimeout(core.NoDial(context.Background()), byeTimeout)
	defer cancel()
	_, _ = c.ask(ctx, &message{kind: unregister, namespace: &namespace}, unregister) // it ends by itself, too
}

// search returns the peers that have registered since a cookie was given, and
// the next cookie. What is no record of the peer that signed it is left out.
func (c *client) search(ctx context.Context, namespace string, cookie []byte, limit int) ([]result, []byte, error) {
	m := &message{kind: discover, namespace: &namespace, limit: new(uint64(limit)), cookie: cookie}
	answer, err := c.ask(ctx, m, discoverResponse)
	if err != nil {
		return nil, nil, c.fail("find", namespace, err)
	}
	near := c.near()
	var list []result
	for _, r := range answer.found {
		if r.namespace != namespace || len(list) == limit {
			continue
		}
		p, err := c.read(r.record)
		if err != nil || p.ID == c.node.ID() {
			continue
		}
		list = append(list, result{peer.AddrInfo{ID: p.ID, Addrs: usable(p.Addrs, near)}, time.Duration(min(r.ttl, uint64(longestTTL/time.Second))) * time.Second})
	}
	if len(answer.cookie) > maxCookie {
		answer.cookie = nil
	}
	return list, answer.cookie, nil
}

// read reads what a point says of a peer.
func (c *client) read(b []byte) (peer.AddrInfo, error) {
	e, err := record.Unmarshal(b)
	if err != nil && c.unsigned {
		return parseUnsigned(b)
	}
	if err != nil {
		return peer.AddrInfo{}, err
	}
	p, err := record.ConsumePeerRecord(b, peer.FromPublicKey(e.PublicKey))
	if err != nil {
		return peer.AddrInfo{}, err
	}
	return peer.AddrInfo{ID: p.ID, Addrs: p.Addrs}, nil
}

// result is a peer that was found, and for how long it is registered.
type result struct {
	peer peer.AddrInfo
	ttl  time.Duration
}

// usable leaves out what is of a local network or this machine, unless the point
// that tells of it is near: strangers do not choose what is dialled there.
func usable(addrs []ma.Multiaddr, near bool) (list []ma.Multiaddr) {
	for _, a := range addrs {
		if near || !peer.IsPrivate(a) && !peer.IsLoopback(a) {
			list = append(list, a)
		}
	}
	return list
}

// near tells whether the point is on a local network or this machine: only then
// are the addresses there that it tells of of any use.
func (c *client) near() bool {
	for _, conn := range c.node.ConnsTo(c.point.ID) {
		if a := conn.RemoteMultiaddr(); peer.IsPrivate(a) || peer.IsLoopback(a) || !hasIP(a) {
			return true
		}
	}
	return false
}

func hasIP(a ma.Multiaddr) bool {
	_, ok := peer.IP(a)
	return ok
}

// registrationKey is what a registration is shared under, so that the end of a
// module does not take back what its successor has registered.
type registrationKey struct {
	point     peer.ID
	namespace string
}

// registrationOf is what a node has registered under a namespace at a point.
type registrationOf struct {
	key registrationKey

	mu     sync.Mutex
	client *client // by which it was made the last time; nil if it was not
}

func standing(n core.Node, c *client, namespace string) (*registrationOf, func() error, error) {
	key := registrationKey{c.point.ID, namespace}
	return core.Share(n, key, func() (*registrationOf, error) { return &registrationOf{key: key}, nil })
}

func (r *registrationOf) made(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.client = c
}

// Close implements [io.Closer]. It takes the registration back.
func (r *registrationOf) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		r.client.unregister(r.key.namespace)
	}
	return nil
}
