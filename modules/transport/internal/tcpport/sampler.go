// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// sampleTimeout is how long the first bytes of a connection may take.
	sampleTimeout = 5 * time.Second
	// maxSamples bounds the connections of a socket whose first bytes are
	// waited for.
	maxSamples = 512
)

// sampler waits for the first bytes of connections. When it has too many, it
// gives up the one that has been silent for longest, of the remote that has the
// most: those who speak at once get in, whoever else says nothing.
type sampler struct {
	mu      sync.Mutex
	closed  bool
	samples []*sample            // in the order of their begin; at most maxSamples
	counts  map[netip.Prefix]int // of samples, by their source
}

// sample is a connection that has not said enough.
type sample struct {
	conn   net.Conn
	source netip.Prefix
}

// source is the remote as far as one host or household has it: an IPv4 address
// or the network of an IPv6 one.
func source(ip netip.Addr) netip.Prefix {
	bits := 32
	if !ip.Is4() {
		bits = 56
	}
	p, _ := ip.WithZone("").Prefix(bits)
	return p
}

// begin takes a connection in; crowded is true if another had to go. It returns
// nil if the sampler is closed.
func (s *sampler) begin(c net.Conn, from netip.Addr) (w *sample, crowded bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false
	}
	if crowded = len(s.samples) == maxSamples; crowded {
		silent := s.mostSilentLocked()
		s.removeLocked(silent)
		silent.conn.Close()
	}
	w = &sample{conn: c, source: source(from)}
	if s.counts == nil {
		s.counts = make(map[netip.Prefix]int)
	}
	s.samples = append(s.samples, w)
	s.counts[w.source]++
	return w, crowded
}

func (s *sampler) mostSilentLocked() (w *sample) {
	most := 0
	for _, o := range s.samples {
		if n := s.counts[o.source]; n > most {
			w, most = o, n
		}
	}
	return w
}

func (s *sampler) removeLocked(w *sample) {
	i := slices.Index(s.samples, w)
	if i < 0 {
		return
	}
	s.samples = slices.Delete(s.samples, i, i+1)
	if s.counts[w.source]--; s.counts[w.source] == 0 {
		delete(s.counts, w.source)
	}
}

// read waits for the bytes that tell the connection's kind. It fails at the
// deadline, when the remote closes, and when the sampler gives up the connection
// or closes. In any case the sampler forgets it.
func (s *sampler) read(w *sample) (kind Kind, h *head, err error) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.removeLocked(w)
	}()
	if err := w.conn.SetReadDeadline(time.Now().Add(sampleTimeout)); err != nil {
		return 0, nil, err
	}
	h = new(head)
	for decided := false; !decided; {
		n, err := w.conn.Read(h.data[h.to:])
		h.to += n
		if kind, decided = classify(h.data[:h.to]); !decided && err != nil {
			return 0, nil, err
		}
	}
	return kind, h, w.conn.SetReadDeadline(time.Time{})
}

// close gives up all connections.
func (s *sampler) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, w := range s.samples {
		w.conn.Close()
	}
}
