// SPDX-License-Identifier: Apache-2.0 OR MIT

package portmap

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// upnp is UPnP IGD, versions 1 and 2: http://upnp.org/specs/gw/igd2/. What the
// gateway offers is looked for with the first question.
type upnp struct {
	gateway gateway
	search  netip.AddrPort // where gateways are looked for

	mu      sync.Mutex
	service *service
}

// portsTried is how many ports are asked for if others have those before.
const portsTried = 4

// Errors of a gateway.
const (
	upnpConflict      = 718 // somebody else has the port
	upnpPermanentOnly = 725 // ports are given for ever, or not at all
)

// found returns the service that forwards ports.
func (m *upnp) found(ctx context.Context) (*service, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.service != nil {
		return m.service, nil
	}
	s, err := discover(ctx, m.gateway, m.search)
	if err != nil {
		return nil, err
	}
	m.service = s
	return s, nil
}

// add implements [method].
func (m *upnp) add(ctx context.Context, r request) (grant, error) {
	s, err := m.found(ctx)
	if err != nil {
		return grant{}, err
	}
	values, err := s.call(ctx, "GetExternalIPAddress")
	if err != nil {
		return grant{}, m.lost(err)
	}
	ip, err := netip.ParseAddr(values["NewExternalIPAddress"])
	if err != nil {
		return grant{}, fmt.Errorf("the gateway's address: %w", err)
	}
	port, lifetime := r.outside, r.lifetime
	for range portsTried {
		err = s.forward(ctx, r, port, lifetime)
		var fault *faultError
		if errors.As(err, &fault) && fault.code == upnpPermanentOnly && lifetime > 0 {
			lifetime = 0
			err = s.forward(ctx, r, port, lifetime)
		}
		if !errors.As(err, &fault) || fault.code != upnpConflict {
			break
		}
		port = uint16(1024 + rand.IntN(1<<16-1024))
	}
	if err != nil {
		return grant{}, m.lost(err)
	}
	return granted(ip, port, r.lifetime)
}

// lost forgets the service if it does not answer any more: it may have another
// address.
func (m *upnp) lost(err error) error {
	var fault *faultError
	if !errors.As(err, &fault) {
		m.mu.Lock()
		m.service = nil
		m.mu.Unlock()
	}
	return err
}

// forward asks for a port; a lifetime of 0 is for ever.
func (s *service) forward(ctx context.Context, r request, outside uint16, lifetime time.Duration) error {
	_, err := s.call(ctx, "AddPortMapping",
		"NewRemoteHost", "",
		"NewExternalPort", strconv.Itoa(int(outside)),
		"NewProtocol", upnpProtocol(r.network),
		"NewInternalPort", strconv.Itoa(int(r.inside.Port())),
		"NewInternalClient", r.inside.Addr().String(),
		"NewEnabled", "1",
		"NewPortMappingDescription", "xnode",
		"NewLeaseDuration", strconv.Itoa(int(lifetime/time.Second)))
	return err
}

// remove implements [method].
func (m *upnp) remove(ctx context.Context, r request) error {
	s, err := m.found(ctx)
	if err != nil {
		return err
	}
	_, err = s.call(ctx, "DeletePortMapping",
		"NewRemoteHost", "", "NewExternalPort", strconv.Itoa(int(r.outside)), "NewProtocol", upnpProtocol(r.network))
	return err
}

func upnpProtocol(network string) string {
	if network == "udp" {
		return "UDP"
	}
	return "TCP"
}
