// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/lan"
	"github.com/xnode-p2p/xnode/interop/internal/peers"
	"github.com/xnode-p2p/xnode/interop/internal/process"
)

// machine is a host on a network with a peer that runs on it.
type machine struct {
	*process.Server
	kind  string
	host  *lan.Host // nil: this one
	link  *lan.Link
	id    string
	addrs []string // without /p2p

	mu   sync.Mutex
	sees map[string][]string // addresses, by peer ID; as of the last look
}

// boot starts a peer on a new host of a network. It listens on the host's address
// there, or on all that it has or will have.
func boot(ctx context.Context, n *lan.Net, p peers.Peer, all bool) (*machine, error) {
	host, err := lan.NewHost(ctx)
	if err != nil {
		return nil, err
	}
	link, err := host.Join(ctx, n)
	if err != nil {
		return nil, errors.Join(err, host.Close())
	}
	m := &machine{kind: p.Name, host: host, link: link}
	ip := link.Addrs[0].Addr().String()
	if all {
		ip = map[bool]string{true: "0.0.0.0", false: "::"}[link.Addrs[0].Addr().Is4()]
	}
	if err := m.start(ctx, host.Command(p.Command("listen", "--mdns", "--ip", ip)...)); err != nil {
		return nil, errors.Join(err, host.Close())
	}
	return m, nil
}

func (m *machine) start(ctx context.Context, argv []string) (err error) {
	var ready struct {
		PeerID string `json:"peer_id"`
		Addrs  []string
	}
	if m.Server, err = process.Start(ctx, argv, &ready); err != nil {
		return fmt.Errorf("%s: %w", m.kind, err)
	}
	m.id = ready.PeerID
	for _, a := range ready.Addrs {
		bare, _, _ := strings.Cut(a, "/p2p/")
		m.addrs = append(m.addrs, bare)
	}
	return nil
}

// end ends the peer, and its host.
func (m *machine) end() error {
	err := m.Close()
	if m.host != nil {
		err = errors.Join(err, m.host.Close())
	}
	return err
}

// look asks the peer whom it sees.
func (m *machine) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("no answer"))
	defer cancel()
	var answer struct {
		Discovered []struct {
			Peer  string
			Addrs []string
		}
	}
	if err := m.Ask(ctx, "discovered", &answer); err != nil {
		return fmt.Errorf("%s: %w", m.kind, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sees = make(map[string][]string)
	for _, d := range answer.Discovered {
		for _, a := range d.Addrs {
			bare, _, _ := strings.Cut(a, "/p2p/")
			m.sees[d.Peer] = append(m.sees[d.Peer], bare)
		}
	}
	return nil
}

// see wants the peer to see another one where that is.
func (m *machine) see(other *machine) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	addrs, ok := m.sees[other.id]
	switch {
	case !ok:
		return fmt.Errorf("%s does not see %s", m.kind, other.kind)
	case !slices.ContainsFunc(addrs, func(a string) bool { return slices.Contains(other.addrs, a) }):
		return fmt.Errorf("%s sees %s at %q, but it is at %q", m.kind, other.kind, addrs, other.addrs)
	}
	return nil
}

// until looks until a condition holds.
func (m *machine) until(ctx context.Context, limit time.Duration, holds func() error) error {
	for begun := time.Now(); ; {
		err := m.look(ctx)
		if err == nil {
			err = holds()
		}
		if err == nil || time.Since(begun) > limit {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// pause is the time between two looks.
func pause(ctx context.Context) error {
	select {
	case <-time.After(200 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
