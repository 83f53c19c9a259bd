// SPDX-License-Identifier: Apache-2.0 OR MIT

package limits

import "maps"

// Stat is what is counted. All is zero when nothing is open.
type Stat struct {
	// Memory is reserved memory in bytes.
	Memory int64 `json:"memory"`
	// Inbound and Outbound are connections, those in handshake included;
	// Handshakes are the inbound ones in handshake.
	Inbound    int `json:"inbound_connections"`
	Outbound   int `json:"outbound_connections"`
	Handshakes int `json:"handshakes"`
	// Peers are the peers with connections, Subnets the subnets with inbound
	// connections that are counted by subnet.
	Peers   int `json:"peers"`
	Subnets int `json:"subnets"`
	// InboundStreams and OutboundStreams are open streams, and Protocols the
	// protocols they have.
	InboundStreams  int `json:"inbound_streams"`
	OutboundStreams int `json:"outbound_streams"`
	Protocols       int `json:"protocols"`
}

// Stat returns every counter.
func (l *Limits) Stat() Stat {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stat{
		Memory:  l.memory,
		Inbound: l.conns.in, Outbound: l.conns.out, Handshakes: l.handshakes.list.Len(),
		Peers:          len(l.peers),
		InboundStreams: l.streams.in, OutboundStreams: l.streams.out,
		Protocols: len(l.protocols),
	}
	for _, src := range l.sources {
		if src.conns > 0 {
			s.Subnets++
		}
	}
	return s
}

// Refused returns how often each limit refused something since the start, by
// its key in the configuration; limits of single protocols are "protocols".
func (l *Limits) Refused() map[string]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.refused)
}
