// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"errors"
	"fmt"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// Service says what this node does for others as a relay. The defaults are those
// that public relays have: enough to be found and to punch a hole, too little to
// live on.
type Service struct {
	// Reservations is how many peers may have a place at a time. Each counts
	// until it has run out, whether it is used or not. Default: 128.
	Reservations int `json:"reservations,omitempty"`
	// ReservationsPerIP is how many of them may come from one IPv4 address or
	// one IPv6 /56. Default: 8.
	ReservationsPerIP int `json:"reservations_per_ip,omitempty"`
	// ReservationsPerNet is how many of them may come from one IPv4 /16 or one
	// IPv6 /32, which stand for the network of one provider. Default: 32.
	ReservationsPerNet int `json:"reservations_per_net,omitempty"`
	// ReservationTime is how long a place is kept before the peer has to ask
	// again; at least 1m. Default: "1h".
	ReservationTime core.Duration `json:"reservation_time,omitempty"`

	// Circuits is how many connections may be relayed at a time. Default: 1024.
	Circuits int `json:"circuits,omitempty"`
	// CircuitsPerPeer is how many of them one peer may have, as the one who
	// connects and as the one who is connected to together. Default: 16.
	CircuitsPerPeer int `json:"circuits_per_peer,omitempty"`
	// Duration is how long a connection is relayed; at least 1s.
	// Default: "2m".
	Duration core.Duration `json:"duration,omitempty"`
	// Data is how much is relayed in each direction of a connection.
	// Default: "128KiB".
	Data core.Size `json:"data,omitempty"`
	// Unlimited relays connections as long and as much as the peers want, in
	// place of duration and data. Default: false.
	Unlimited bool `json:"unlimited,omitempty"`
	// ConnectTimeout is how long the peer that is connected to may take to
	// agree. Default: "30s".
	ConnectTimeout core.Duration `json:"connect_timeout,omitempty"`

	// Reserve says who may have a place. Default: everyone.
	Reserve Access `json:"reserve,omitzero"`
	// Connect says who may connect to those that have one. Default: everyone.
	Connect Access `json:"connect,omitzero"`
}

// Access says whom something is for.
type Access struct {
	// Allow are peer IDs, IP addresses and ranges such as "192.0.2.0/24": if
	// there are any, all others are refused. Default: none.
	Allow []string `json:"allow,omitempty"`
	// Deny are peer IDs, IP addresses and ranges that are refused, whatever
	// allow says. Default: none.
	Deny []string `json:"deny,omitempty"`

	allow, deny ruleSet
}

// Provision sets the defaults.
func (s *Service) Provision() error {
	for _, d := range []struct {
		v *int
		n int
	}{
		{&s.Reservations, 128},
		{&s.ReservationsPerIP, 8},
		{&s.ReservationsPerNet, 32},
		{&s.Circuits, 1024},
		{&s.CircuitsPerPeer, 16},
	} {
		if *d.v == 0 {
			*d.v = d.n
		}
	}
	for _, d := range []struct {
		v *core.Duration
		d time.Duration
	}{
		{&s.ReservationTime, time.Hour},
		{&s.Duration, 2 * time.Minute},
		{&s.ConnectTimeout, 30 * time.Second},
	} {
		if *d.v == 0 {
			*d.v = core.Duration(d.d)
		}
	}
	if s.Data == 0 {
		s.Data = 128 << 10
	}
	return errors.Join(s.Reserve.provision("reserve"), s.Connect.provision("connect"))
}

// Validate checks the settings after Provision.
func (s *Service) Validate() error {
	for _, c := range []struct {
		key string
		n   int64
	}{
		{"reservations", int64(s.Reservations)},
		{"reservations_per_ip", int64(s.ReservationsPerIP)},
		{"reservations_per_net", int64(s.ReservationsPerNet)},
		{"circuits", int64(s.Circuits)},
		{"circuits_per_peer", int64(s.CircuitsPerPeer)},
		{"data", int64(s.Data)},
	} {
		if c.n < 1 {
			return fmt.Errorf("%s: %d would let nothing through; want at least 1", c.key, c.n)
		}
	}
	for _, c := range []struct {
		key    string
		d, min time.Duration
	}{
		{"reservation_time", time.Duration(s.ReservationTime), time.Minute},
		{"duration", time.Duration(s.Duration), time.Second},
		{"connect_timeout", time.Duration(s.ConnectTimeout), time.Second},
	} {
		if c.d < c.min {
			return fmt.Errorf("%s: %v is too short; want at least %v", c.key, c.d, c.min)
		}
	}
	return nil
}

// limit is what a connection is told of its limits.
func (s *Service) limit() Limit {
	if s.Unlimited {
		return Limit{}
	}
	return Limit{Duration: time.Duration(s.Duration).Truncate(time.Second), Data: uint64(s.Data)}
}
