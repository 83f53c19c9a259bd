// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/lan"
	"github.com/xnode-p2p/xnode/interop/internal/peers"
	"github.com/xnode-p2p/xnode/interop/internal/process"
)

// The AutoNAT rows: servers, and clients that find out from them whether they can be
// reached. All of them have addresses of the Internet, for peers do not ask about
// others, each client on a machine of its own; see interop/internal/lan.

// autonatStack is what the AutoNAT rows run on.
var autonatStack = peers.Stack{Transport: "tcp", Security: "noise", Muxer: "yamux"}

const (
	// autonatTime is how long a client may take to a verdict: go-libp2p asks
	// nobody with version 1 in its first 15 s.
	autonatTime = 60 * time.Second
	// autonatPort is what everybody listens on.
	autonatPort = 4001
	// leastData is what a server of version 2 wants before it dials an IP address
	// that it is not asked from, in bytes.
	leastData = 30_000
)

// The networks: all hosts are neighbours, and have no router.
var (
	autonatClients = netip.MustParsePrefix("1.2.3.0/24")
	// autonatServers are in networks of their own, as verdicts want it.
	autonatServers = []string{"5.1.1.1", "23.1.1.1", "31.1.1.1", "45.1.1.1", "62.1.1.1", "77.1.1.1", "81.1.1.1", "91.1.1.1"}
)

// opinions is from how many servers a kind of client takes it that it can be
// reached, and that it cannot; and how many it needs for two addresses.
var opinions = map[string]struct{ yes, no, two int }{
	peers.Xnode: {3, 3, 3},
	"go":        {2, 3, 8}, // addrs_reachability_tracker.go in p2p/host/basic; it asks each server once in 2 minutes
	"js":        {1, 8, 8}, // REQUIRED_FAILED_DIALS in client.js of @libp2p/autonat-v2; it asks each server once
	"py":        {4, 4, 4}, // CONFIRMATIONS_REQUIRED in host/autonat/autonat.py
}

// situation is that of a client. What is found out has to be true.
type situation struct {
	version  string
	name     string
	want     string
	firewall bool // nobody gets in
	second   bool // there is an address that the client does not ask from
}

// operation names it in the matrix.
func (s situation) operation() string { return s.version + "-" + s.name }

func situations(version string) []situation {
	list := []situation{
		{version: version, name: "public", want: "public"},
		{version: version, name: "private", want: "private", firewall: true},
	}
	if version == "v2" {
		list = append(list, situation{version: version, name: "paid", want: "public", second: true})
	}
	return list
}

// autonatRows are all pairs with the project's own peer.
func autonatRows(all []peers.Peer) (rows []*row) {
	add := func(server, client peers.Peer) {
		if len(peers.CommonAutoNAT(server, client)) > 0 {
			rows = append(rows, &row{Suite: suiteAutoNAT, Server: server.Name, Client: client.Name, Stack: autonatStack, server: server, client: client})
		}
	}
	add(all[0], all[0])
	for _, other := range all[1:] {
		add(all[0], other)
		add(other, all[0])
	}
	return rows
}

func isAutoNAT(r *row) bool { return r.Suite == suiteAutoNAT }

// runAutoNAT fills the rows in another process, which can make networks. Where none
// can be made it says so, and leaves them empty.
func (m *matrix) runAutoNAT(ctx context.Context, rows []*row) error {
	if len(rows) == 0 {
		return nil
	}
	if _, err := exec.LookPath("nft"); err != nil {
		fmt.Fprintln(m.log, "the suite autonat is left out: the command nft is missing; Debian's package is nftables")
		return nil
	}
	var out strings.Builder
	status, err := lan.EnterTo(ctx, &out, os.Args[1:]...)
	switch {
	case errors.Is(err, lan.ErrUnavailable):
		fmt.Fprintf(m.log, "the suite autonat is left out: %v\n", err)
		return nil
	case err != nil:
		return fmt.Errorf("the suite autonat: %w", err)
	case status != 0:
		return fmt.Errorf("the suite autonat: exit status %d", status)
	}
	var filled []*row
	if err := json.Unmarshal([]byte(out.String()), &filled); err != nil {
		return fmt.Errorf("the suite autonat: %w", err)
	}
	if len(filled) != len(rows) {
		return fmt.Errorf("the suite autonat: %d rows, want %d", len(filled), len(rows))
	}
	for i := range rows {
		rows[i].Cells = filled[i].Cells
	}
	return nil
}

// insideAutoNAT is the other process.
func (m *matrix) insideAutoNAT(ctx context.Context, root string, names []string, out io.Writer) error {
	chosen, err := peers.Named(peers.All(root), names)
	if err != nil {
		return err
	}
	rows := slices.DeleteFunc(m.only.choose(plan(chosen)), func(r *row) bool { return !isAutoNAT(r) })
	m.run(ctx, rows)
	return json.NewEncoder(out).Encode(rows)
}

// autonatNet is a network with as many servers of a kind as clients need.
type autonatNet struct {
	net     *lan.Net
	servers []string // their addresses
	closers []func() error
}

func (n *autonatNet) close() (err error) {
	for _, c := range slices.Backward(n.closers) {
		err = errors.Join(err, c())
	}
	return err
}

// host makes a machine on the network.
func (n *autonatNet) host(ctx context.Context) (*lan.Host, *lan.Link, error) {
	h, err := lan.NewHost(ctx)
	if err != nil {
		return nil, nil, err
	}
	n.closers = append(n.closers, h.Close)
	l, err := h.Join(ctx, n.net)
	return h, l, err
}

// fillAutoNAT starts the servers of a row, and a client in each situation.
func (m *matrix) fillAutoNAT(ctx context.Context, r *row) {
	n := new(autonatNet)
	err := m.startServers(ctx, r, n)
	var all []situation
	for _, v := range peers.CommonAutoNAT(r.server, r.client) {
		all = append(all, situations(v)...)
	}
	r.Cells = make([]cell, len(all))
	var clients sync.WaitGroup
	for i, s := range all {
		c := &r.Cells[i]
		*c = cell{Operation: s.operation(), Known: knownReason(r, s.operation())}
		limit := autonatTime
		if c.Known != "" {
			limit /= 4
		}
		try := func() error { return err }
		if err == nil {
			h, l, broken := n.host(ctx)
			try = func() error {
				if broken != nil {
					return broken
				}
				return m.findOut(ctx, r, n, s, h, l, limit)
			}
		}
		clients.Go(func() { c.fill(try) })
	}
	clients.Wait()
	if err := n.close(); err != nil && ctx.Err() == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		fmt.Fprintf(m.log, "%s: autonat servers of %s: %v\n", r.Server, r.Client, err)
	}
}

func (m *matrix) startServers(ctx context.Context, r *row, n *autonatNet) (err error) {
	m.mu.Lock()
	m.networks++
	name := fmt.Sprintf("nat%d", m.networks)
	m.mu.Unlock()
	if n.net, err = lan.New(ctx, name, autonatClients, netip.Prefix{}); err != nil {
		return err
	}
	h, l, err := n.host(ctx)
	if err != nil {
		return err
	}
	versions := "both"
	if v := r.server.AutoNAT; len(v) == 1 {
		versions = v[0]
	}
	needs := opinions[r.Client]
	for _, at := range autonatServers[:max(needs.yes, needs.no, needs.two)] {
		if err := h.IP(ctx, "addr add "+at+"/32 dev "+l.Name); err != nil {
			return err
		}
		s, id, err := m.startAutoNAT(ctx, r, r.server, h, "--ip", at, "--autonat", versions)
		if err != nil {
			return err
		}
		n.closers = append(n.closers, s.Close)
		n.servers = append(n.servers, fmt.Sprintf("/ip4/%s/tcp/%d/p2p/%s", at, autonatPort, id))
	}
	return nil
}

// startAutoNAT starts a peer that listens, on a machine.
func (m *matrix) startAutoNAT(ctx context.Context, r *row, p peers.Peer, h *lan.Host, words ...string) (*process.Server, string, error) {
	words = append([]string{"listen", "--port", fmt.Sprint(autonatPort)}, words...)
	var ready struct {
		PeerID string `json:"peer_id"`
	}
	s, err := process.Start(ctx, h.Command(p.Command(m.words(r, words...)...)...), &ready)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", p.Name, err)
	}
	return s, ready.PeerID, nil
}

// firewallRules let nobody in who was not asked for.
const firewallRules = `add table inet fw; add chain inet fw in { type filter hook input priority 0; policy accept; }; ` +
	`add rule inet fw in ct state established,related accept; add rule inet fw in iifname lo accept; add rule inet fw in meta l4proto tcp reject with tcp reset`

// findOut has a client of a row find out how it can be reached.
func (m *matrix) findOut(ctx context.Context, r *row, n *autonatNet, s situation, h *lan.Host, l *lan.Link, limit time.Duration) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no verdict within %v", limit))
	defer cancel()
	needs := opinions[r.Client]
	asked := needs.yes
	switch {
	case s.firewall:
		asked = needs.no
	case s.second:
		asked = needs.two
	}
	ip := l.Addrs[0].Addr()
	own, listen := []string{ip.String()}, ip.String()
	if s.second {
		b := ip.As4()
		b[2]++
		own, listen = append(own, netip.AddrFrom4(b).String()), "0.0.0.0"
		if err := h.IP(ctx, "addr add "+own[1]+"/32 dev "+l.Name); err != nil {
			return err
		}
	}
	if s.firewall {
		argv := h.Command("nft", firewallRules)
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("nft: %w: %s", err, out)
		}
	}
	client, _, err := m.startAutoNAT(ctx, r, r.client, h, "--ip", listen, "--autonat", s.version, "--connect", strings.Join(n.servers[:asked], ","))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	for {
		var v verdict
		if err := client.Ask(ctx, "reach", &v); err != nil {
			return err
		}
		done, err := v.check(s, own)
		if err != nil {
			return err
		}
		if done {
			break
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%w; it says %s, %v", context.Cause(ctx), v.Reachability, v.Addrs)
		}
	}
	sent, err := sentBytes(ctx, h, l.Name)
	if most := uint64(needs.yes * leastData); err == nil && s.version == "v2" && !s.firewall && (sent >= most) != s.second {
		err = fmt.Errorf("%d bytes were sent by the client for the word of %d servers, which had to be paid for: %t", sent, needs.yes, s.second)
	}
	return err
}

// verdict is what a client says.
type verdict struct {
	Reachability string
	Addrs        []struct{ Addr, Reachability string }
}

// check reports whether a verdict is complete, and fails if it is wrong. Version 1 has
// one of the node, version 2 of each of its addresses.
func (v verdict) check(s situation, own []string) (done bool, err error) {
	says := []string{v.Reachability}
	if s.version == "v2" {
		says = nil
		for _, ip := range own {
			says = append(says, "unknown")
			for _, a := range v.Addrs {
				if strings.HasPrefix(a.Addr, "/ip4/"+ip+"/tcp/") {
					says[len(says)-1] = a.Reachability
				}
			}
		}
	}
	done = true
	for _, word := range says {
		switch word {
		case s.want:
		case "unknown":
			done = false
		default:
			return false, fmt.Errorf("the client takes itself for %s, which it is not", word)
		}
	}
	return done, nil
}

// sentBytes is how much a machine has sent on an interface.
func sentBytes(ctx context.Context, h *lan.Host, link string) (uint64, error) {
	argv := h.Command("ip", "-s", "-j", "link", "show", "dev", link)
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
	if err != nil {
		return 0, fmt.Errorf("ip link: %w", err)
	}
	var links []struct {
		Stats64 struct{ TX struct{ Bytes uint64 } }
	}
	if err := json.Unmarshal(out, &links); err != nil {
		return 0, fmt.Errorf("ip link: %w", err)
	}
	if len(links) != 1 {
		return 0, fmt.Errorf("ip link: %d links", len(links))
	}
	return links[0].Stats64.TX.Bytes, nil
}
