// SPDX-License-Identifier: Apache-2.0 OR MIT

package rendezvous

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// maxStreams is how many streams a peer may have.
	maxStreams = 4
	// maxRequests is how many requests a stream may carry.
	maxRequests = 1000
	// maxSilence is how long a stream waits for a request, or for the peer to
	// take the answer.
	maxSilence = time.Minute
)

// Server is what a rendezvous point allows.
type Server struct {
	// MinTTL and MaxTTL bound for how long peers can register. Peers that do
	// not say have two hours. Default: 2h, 72h.
	MinTTL core.Duration `json:"min_ttl,omitempty"`
	MaxTTL core.Duration `json:"max_ttl,omitempty"`
	// Registrations is how many there can be, of all peers. Default: 10000.
	Registrations int `json:"registrations,omitempty"`
	// RegistrationsPerPeer is how many one peer can have, each under another
	// namespace; at most 1000. Default: 100.
	RegistrationsPerPeer int `json:"registrations_per_peer,omitempty"`
	// Unsigned serves py-libp2p, too, which up to 0.8.1 neither sends nor reads
	// signed records. A registration of it counts if the peer has signed a record
	// with one of its addresses in identify: that is what is kept, and what others
	// get. To peers that call themselves py-libp2p results are sent without
	// signatures. Default: false.
	Unsigned bool `json:"unsigned,omitempty"`
}

const (
	defaultTTL = 2 * time.Hour
	longestTTL = 72 * time.Hour
)

func (s *Server) provision() {
	if s.MinTTL == 0 {
		s.MinTTL = core.Duration(defaultTTL)
	}
	if s.MaxTTL == 0 {
		s.MaxTTL = core.Duration(longestTTL)
	}
	if s.Registrations == 0 {
		s.Registrations = 10_000
	}
	if s.RegistrationsPerPeer == 0 {
		s.RegistrationsPerPeer = 100
	}
}

func (s *Server) validate() error {
	switch least, most := time.Duration(s.MinTTL), time.Duration(s.MaxTTL); {
	case least < time.Second:
		return fmt.Errorf("min_ttl: %v is too short; want a second at least", least)
	case most > longestTTL:
		return fmt.Errorf("max_ttl: %v is longer than the %v that the protocol allows", most, longestTTL)
	case most < least:
		return fmt.Errorf("max_ttl: %v is shorter than min_ttl, %v", most, least)
	case s.Registrations < 1 || s.Registrations > 1_000_000:
		return fmt.Errorf("registrations: %d is not between 1 and 1000000", s.Registrations)
	case s.RegistrationsPerPeer < 1 || s.RegistrationsPerPeer > 1000:
		return fmt.Errorf("registrations_per_peer: %d is not between 1 and 1000", s.RegistrationsPerPeer)
	}
	return nil
}

// registryKey is what the registry of a node is shared under: it outlives a
// reload.
type registryKey struct{}

// openShared opens the registry of a node, in its storage if it has one.
func openShared(n core.Node, limits Server) (*registry, func() error, error) {
	r, release, err := core.Share(n, registryKey{}, func() (*registry, error) {
		var table core.Table
		if storage, ok := core.Find[core.Storage](n); ok {
			var err error
			// The secret is one more, and was written before all others.
			table, err = storage.Table("rendezvous/registrations", core.Quota{Entries: 2_000_000})
			if err != nil {
				return nil, err
			}
		}
		r, err := openRegistry(table, limits, time.Now())
		if err != nil && table != nil {
			err = errors.Join(err, table.Close())
		}
		return r, err
	})
	if err != nil {
		return nil, nil, err
	}
	r.setLimits(limits)
	return r, release, nil
}

// point is a registry and who serves it.
type point struct {
	*registry
	node core.Node
}

// serve implements [core.StreamHandler].
func (p *point) serve(s core.Stream) error {
	for range maxRequests {
		if err := s.SetDeadline(time.Now().Add(maxSilence)); err != nil {
			return err
		}
		b, err := wire.ReadMessage(s, maxRequest)
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		m, err := unmarshal(b)
		if err != nil {
			return err
		}
		answer, err := p.answer(s, m)
		if err != nil {
			return err
		}
		if answer != nil {
			if err := wire.WriteMessage(s, answer.marshal()); err != nil {
				return err
			}
		}
	}
	return nil
}

// answer does what a request asks for. Some have no answer.
func (p *point) answer(s core.Stream, m *message) (*message, error) {
	conn, now := s.Conn(), time.Now()
	switch m.kind {
	case register:
		if p.allowsUnsigned() && len(m.record) <= maxRecord {
			if _, err := record.Unmarshal(m.record); err != nil {
				m.record, now = p.signedFor(conn, m.record), time.Now()
			}
		}
		ttl, no := p.register(conn.RemotePeer(), m, now)
		if no != nil {
			return &message{kind: registerResponse, status: no.status, text: no.text}, nil
		}
		return &message{kind: registerResponse, ttl: new(uint64(ttl / time.Second))}, nil
	case unregister:
		return nil, p.unregister(conn.RemotePeer(), m)
	case discover:
		found, cookie, no := p.search(m, now)
		if no != nil {
			return &message{kind: discoverResponse, status: no.status, text: no.text}, nil
		}
		if p.allowsUnsigned() && p.readsUnsigned(conn) {
			for i, f := range found {
				var err error
				if found[i], err = f.unsigned(); err != nil {
					return nil, err
				}
			}
		}
		return &message{kind: discoverResponse, found: found, cookie: cookie}, nil
	}
	return nil, fmt.Errorf("a message of type %d is no request", m.kind)
}

func (r *registry) allowsUnsigned() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.limits.Unsigned
}
