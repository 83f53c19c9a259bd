// SPDX-License-Identifier: Apache-2.0 OR MIT

package mdns

import (
	"errors"
	"net"
	"net/netip"
	"sync"
)

// wire is a network in memory, on which hosts have one link each.
type wire struct {
	mu    sync.Mutex
	hosts map[*hostOnWire]struct{} // those whose socket is open
}

func newWire() *wire { return &wire{hosts: make(map[*hostOnWire]struct{})} }

// hostOnWire is a machine's lan: one interface, eth0, on a wire.
type hostOnWire struct {
	wire *wire

	mu     sync.Mutex
	prefix netip.Prefix // with the host's address; invalid while it has none

	in   chan datagram
	done chan struct{}
	once sync.Once
}

type datagram struct {
	data []byte
	from netip.AddrPort
}

// host puts a machine on the wire.
func (w *wire) host(prefix string) *hostOnWire {
	return &hostOnWire{wire: w, prefix: netip.MustParsePrefix(prefix), in: make(chan datagram, 4096), done: make(chan struct{})}
}

// move gives the machine another address; the empty one takes it off the wire.
func (h *hostOnWire) move(prefix string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.prefix = netip.Prefix{}
	if prefix != "" {
		h.prefix = netip.MustParsePrefix(prefix)
	}
}

func (h *hostOnWire) addr() netip.AddrPort {
	h.mu.Lock()
	defer h.mu.Unlock()
	return netip.AddrPortFrom(h.prefix.Addr(), port)
}

// Links implements [lan].
func (h *hostOnWire) Links() ([]iface, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.prefix.IsValid() {
		return nil, nil
	}
	return []iface{
		{index: 1, name: "lo", up: true, prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		{index: 2, name: "eth0", up: true, usual: true, prefixes: []netip.Prefix{h.prefix.Masked()}},
		{index: 3, name: "eth1", usual: true, prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
	}, nil
}

// Open implements [lan].
func (h *hostOnWire) Open() ([]socket, error) {
	h.wire.mu.Lock()
	defer h.wire.mu.Unlock()
	h.wire.hosts[h] = struct{}{}
	return []socket{h}, nil
}

// Join implements [socket].
func (h *hostOnWire) Join(link int) error {
	if link != 2 {
		return errors.New("not an interface to use")
	}
	return nil
}

// Read implements [socket]. It does not tell the link.
func (h *hostOnWire) Read(b []byte) (n, link int, from netip.AddrPort, err error) {
	select {
	case d := <-h.in:
		return copy(b, d.data), 0, d.from, nil
	case <-h.done:
		return 0, 0, from, net.ErrClosed
	}
}

// Send implements [socket].
func (h *hostOnWire) Send(b []byte, link int) error {
	if link != 2 {
		return errors.New("not an interface to use")
	}
	h.wire.put(datagram{b, h.addr()}, netip.AddrPort{})
	return nil
}

// SendTo implements [socket].
func (h *hostOnWire) SendTo(b []byte, to netip.AddrPort) error {
	h.wire.put(datagram{b, h.addr()}, to)
	return nil
}

// put carries a datagram to one host, or to all if to is zero.
func (w *wire) put(d datagram, to netip.AddrPort) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for h := range w.hosts {
		if a := h.addr(); a.Addr().IsValid() && (!to.IsValid() || a == to) {
			select {
			case h.in <- d:
			default:
			}
		}
	}
}

// Close implements [socket].
func (h *hostOnWire) Close() error {
	h.wire.mu.Lock()
	defer h.wire.mu.Unlock()
	delete(h.wire.hosts, h)
	h.once.Do(func() { close(h.done) })
	return nil
}
