// SPDX-License-Identifier: Apache-2.0 OR MIT

package portmap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/libp2p/go-netroute"
)

// gateway is the router that leads to the Internet, and the address that this
// machine has towards it. Nobody else is asked for ports, or believed.
type gateway struct {
	router, own netip.Addr
}

var errNoGateway = errors.New("this machine has no IPv4 gateway")

// somewhere is an address of the Internet. Nothing is sent there.
var somewhere = net.IPv4(1, 1, 1, 1)

// defaultGateway asks the system.
func defaultGateway() (gateway, error) {
	r, err := netroute.New()
	if err != nil {
		return gateway{}, err
	}
	_, router, own, err := r.Route(somewhere)
	if err != nil {
		return gateway{}, fmt.Errorf("%w: %w", errNoGateway, err)
	}
	var g gateway
	var ok1, ok2 bool
	g.router, ok1 = netip.AddrFromSlice(router)
	g.own, ok2 = netip.AddrFromSlice(own)
	g.router, g.own = g.router.Unmap(), g.own.Unmap()
	if !ok1 || !ok2 || !g.router.Is4() || !g.own.Is4() || g.router.IsUnspecified() || g.router == g.own {
		return gateway{}, errNoGateway
	}
	return g, nil
}
