// SPDX-License-Identifier: Apache-2.0 OR MIT

package limits

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/subnet"
)

// Provision sets the defaults.
func (c *Config) Provision() error {
	setDefault(&c.Memory, defaultMemory)
	setDefault(&c.MemoryPerPeer, within(defaultPeerMemory, c.Memory))
	setDefault(&c.MemoryPerConnection, within(c.MemoryPerPeer))
	setDefault(&c.MemoryPerStream, within(defaultStreamMemory, c.MemoryPerConnection))
	setDefault(&c.MemoryPerProtocol, max(1, c.Memory/2))
	setDefault(&c.Connections, defaultConnections)
	setDefault(&c.InboundConnections, max(1, share(c.Connections, inboundNum, inboundD)))
	setDefault(&c.Target, max(1, share(c.Connections, targetNum, targetD)))
	setDefault(&c.Grace, core.Duration(defaultGraceSeconds*time.Second))
	setDefault(&c.Handshakes, within(defaultHandshakes, c.InboundConnections))
	setDefault(&c.ConnectionsPerPeer, within(defaultPeerConns, c.Connections))
	setDefault(&c.ConnectionsPerSubnet, within(defaultSubnetConns, c.InboundConnections))
	setDefault(&c.ConnectRate, defaultConnectRate)
	setDefault(&c.ConnectBurst, defaultConnectBurst)
	setDefault(&c.Streams, defaultStreams)
	setDefault(&c.InboundStreams, max(1, share(c.Streams, inboundNum, inboundD)))
	setDefault(&c.StreamsPerPeer, within(defaultPeerStreams, c.Streams))
	setDefault(&c.StreamsPerConnection, within(defaultConnStreams, c.StreamsPerPeer))
	setDefault(&c.StreamsPerProtocol, within(defaultProtocol, c.Streams))
	setDefault(&c.StreamsPerProtocolPerPeer, within(defaultProtocolPeer, c.StreamsPerProtocol, c.StreamsPerPeer))
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var unset T
	if *field == unset {
		*field = value
	}
}

// within is a default, or a limit that contains it if that is less. A limit
// below one is a mistake of its own, which shall not make others.
func within[T ~int | ~int64](value T, outer ...T) T {
	for _, o := range outer {
		value = min(value, o)
	}
	return max(1, value)
}

// share is num/den of n, without overflow.
func share(n, num, den int) int { return n/den*num + n%den*num/den }

// number is a key of the configuration and its value.
type number struct {
	key   string
	value int64
	text  string
}

// Validate rejects what cannot be meant: numbers below one, and limits above
// the limit that contains them. It expects a provisioned configuration.
func (c *Config) Validate() error {
	var errs []error
	all := c.numbers()
	for _, n := range all {
		if n.value < 1 {
			errs = append(errs, fmt.Errorf("%s: %s is too little, the least is 1", n.key, n.text))
		}
	}
	if !(c.ConnectRate > 0) || math.IsInf(c.ConnectRate, 0) {
		errs = append(errs, fmt.Errorf("connect_rate: %v is no rate, write a number above 0", c.ConnectRate))
	}
	for i, text := range c.Trusted {
		if _, err := subnet.Parse(text); err != nil {
			errs = append(errs, fmt.Errorf("trusted: %d: %w", i, err))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.Protocols)) {
		if p := c.Protocols[id]; p.Streams < 0 || p.StreamsPerPeer < 0 || p.Memory < 0 {
			errs = append(errs, fmt.Errorf("protocols: %s: limits cannot be below 0", id))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for _, pair := range contained {
		inner, outer := all[pair[0]], all[pair[1]]
		if inner.value > outer.value {
			errs = append(errs, fmt.Errorf("%s (%s) is more than %s (%s)", pair[0], inner.text, pair[1], outer.text))
		}
	}
	return errors.Join(errs...)
}

// contained are the limits that cannot exceed another one.
var contained = [][2]string{
	{"memory_per_peer", "memory"},
	{"memory_per_connection", "memory_per_peer"},
	{"memory_per_stream", "memory_per_connection"},
	{"memory_per_protocol", "memory"},
	{"inbound_connections", "connections"},
	{"target", "connections"},
	{"handshakes", "inbound_connections"},
	{"connections_per_peer", "connections"},
	{"connections_per_subnet", "inbound_connections"},
	{"inbound_streams", "streams"},
	{"streams_per_peer", "streams"},
	{"streams_per_connection", "streams_per_peer"},
	{"streams_per_protocol", "streams"},
	{"streams_per_protocol_per_peer", "streams_per_protocol"},
	{"streams_per_protocol_per_peer", "streams_per_peer"},
}

func (c *Config) numbers() map[string]number {
	all := make(map[string]number)
	count := func(key string, v int) { all[key] = number{key, int64(v), strconv.Itoa(v)} }
	size := func(key string, v core.Size) { all[key] = number{key, int64(v), v.String()} }
	size("memory", c.Memory)
	size("memory_per_peer", c.MemoryPerPeer)
	size("memory_per_connection", c.MemoryPerConnection)
	size("memory_per_stream", c.MemoryPerStream)
	size("memory_per_protocol", c.MemoryPerProtocol)
	count("connections", c.Connections)
	count("inbound_connections", c.InboundConnections)
	count("target", c.Target)
	count("handshakes", c.Handshakes)
	count("connections_per_peer", c.ConnectionsPerPeer)
	count("connections_per_subnet", c.ConnectionsPerSubnet)
	count("connect_burst", c.ConnectBurst)
	count("streams", c.Streams)
	count("inbound_streams", c.InboundStreams)
	count("streams_per_peer", c.StreamsPerPeer)
	count("streams_per_connection", c.StreamsPerConnection)
	count("streams_per_protocol", c.StreamsPerProtocol)
	count("streams_per_protocol_per_peer", c.StreamsPerProtocolPerPeer)
	return all
}

// trustedRanges are the trusted ranges, parsed; Validate has seen the rest.
func (c *Config) trustedRanges() []netip.Prefix {
	var list []netip.Prefix
	for _, text := range c.Trusted {
		if p, err := subnet.Parse(text); err == nil {
			list = append(list, p)
		}
	}
	return list
}
