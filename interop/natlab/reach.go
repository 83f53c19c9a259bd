// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/lan"
)

// reachTime is how long a node may take to find out how it can be reached.
const reachTime = 90 * time.Second

// reaching is a node behind a router that finds out, with AutoNAT and from one
// server on the Internet, whether it can be reached; and asks the router for its
// ports.
type reaching struct {
	Router lan.NAT `json:"router"`
	// Behind is set where there is more than that router: another one between it
	// and the node, or a provider's network that the node is on.
	Behind string   `json:"behind,omitempty"`
	Method string   `json:"method,omitempty"` // how the router is asked for ports; empty for every way
	Want   string   `json:"want"`
	Got    string   `json:"got"`
	After  float64  `json:"after_seconds"`
	Mapped []string `json:"mapped,omitempty"` // the addresses that the router forwards, and that can be reached
	// Doctor is what the doctor had to say, and said: the states of its checks.
	Doctor map[string]string `json:"doctor,omitempty"`
	OK     bool              `json:"ok"`
	Error  string            `json:"error,omitempty"`
}

// What there is besides the router.
const (
	twoRouters = "another router"
	carrier    = "a provider's NAT"
)

// nested is the network behind the nearer one of two routers.
var nested = netip.MustParsePrefix("192.168.3.0/24")

// carrierNet is one that providers have behind their NATs.
var carrierNet = netip.MustParsePrefix("100.64.3.0/24")

func reachings() []*reaching {
	return []*reaching{
		{Router: lan.Cone, Want: "private"},
		{Router: lan.FullCone, Want: "public"},
		{Router: lan.Hairpin, Want: "public"},
		{Router: lan.Symmetric, Want: "private"},
		{Router: lan.UDPBlock, Want: "private"},
		{Router: lan.Cone, Behind: twoRouters, Want: "private"},
		{Router: lan.Cone, Behind: carrier, Want: "private"},
		{Router: lan.UPnP, Want: "public", Method: "pcp"},
		{Router: lan.UPnP, Want: "public", Method: "nat-pmp"},
		{Router: lan.UPnP, Want: "public", Method: "upnp"},
	}
}

func (r *reaching) String() string {
	return strings.Join(strings.Fields(fmt.Sprintf("reach %s %s %s", r.Router, r.Behind, r.Method)), " ")
}

func (r *reaching) try(ctx context.Context, number int, xnode string) (err error) {
	networks := inside
	if r.Behind == carrier {
		networks[0] = carrierNet
	}
	l, err := newLabWith(ctx, fmt.Sprintf("v%d", number), r.Router, lan.Cone, lan.Shape{}, networks)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	on := l.sides[0].host
	if r.Behind == twoRouters {
		if on, err = l.nest(ctx, fmt.Sprintf("v%d", number)); err != nil {
			return err
		}
	}
	var points []string // two at least, so that the node can compare where they see it
	last := 4002
	if r.Router == lan.UDPBlock {
		last = 4004 // of so many, one might be over UDP
	}
	for port := 4001; port <= last; port++ {
		at := fmt.Sprintf("/ip4/%s/tcp/%d", l.relayAddr, port)
		var server *node
		server, err = startNode(ctx, xnode, l.relay, fmt.Sprintf(`"listen": [%q, "/ip4/%s/udp/%d/quic-v1"], "nat": {"autonat": {"roles": ["server"],
			"server": {"requests": 600, "peer_requests": 600, "requests_v1": 600, "peer_requests_v1": 600}}}`, at, l.relayAddr, port))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.close()) }()
		var id struct{ Peer string }
		if err = server.askJSON(ctx, &id, "id"); err != nil {
			return err
		}
		points = append(points, fmt.Sprintf("%q", at+"/p2p/"+id.Peer))
	}
	router, methods := l.sides[0].router, ""
	if r.Method != "" {
		methods = fmt.Sprintf(`"methods": [%q]`, r.Method)
	}
	told := ""
	if r.Router == lan.FullCone || r.Router == lan.Hairpin { // as of a port that is forwarded by hand
		told = fmt.Sprintf(`"addresses": {"append": ["/ip4/%s/tcp/4001"]},`, router.Address())
	}
	n, end, err := runNode(ctx, xnode, on, told+fmt.Sprintf(`"listen": ["/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1"],
		"nat": {"autonat": {"roles": ["client"], "confirmations": 1, "retry": "2s", "recheck": "10s"}, "portmap": {%s}},
		"discovery": {"bootstrap": {"peers": [%s]}}`, methods, strings.Join(points, ", ")))
	if err != nil {
		return err
	}
	begun := time.Now()
	err = r.await(ctx, n, router.Address().String())
	r.After = time.Since(begun).Seconds()
	if err == nil {
		err = r.consult(ctx, n)
	}
	maps := func() (ports int, text string) {
		if r.Router == lan.UPnP && err == nil {
			text, err = router.Maps(ctx)
		}
		return strings.Count(text, "dnat"), text
	}
	ports, before := maps()
	if err = errors.Join(err, end()); err != nil {
		return err
	}
	left, after := maps()
	if err == nil && r.Router == lan.UPnP && (ports != 2 || left != 0) {
		err = fmt.Errorf("the router forwards, while the node runs and after SIGTERM:\n%s\n%s", before, after)
	}
	r.OK = err == nil
	return err
}

// nest puts another router, and a host behind that, on the network behind the first
// router.
func (l *lab) nest(ctx context.Context, name string) (*lan.Host, error) {
	farther := &l.sides[0]
	private, err := lan.New(ctx, "lan"+name+"n", nested, netip.Prefix{})
	if err != nil {
		return nil, err
	}
	router, err := lan.NewRouter(ctx, private, farther.private, lan.Cone, nil)
	if err != nil {
		return nil, err
	}
	l.closers = append(l.closers, router)
	if err := router.IP(ctx, "route replace default via "+farther.router.Inside.Addrs[0].Addr().String()); err != nil {
		return nil, err
	}
	host, err := router.NewHost(ctx)
	if err == nil {
		l.closers = append(l.closers, host)
	}
	return host, err
}

// await waits until the node says what is wanted: at a router that forwards ports,
// of the two addresses outside too.
func (r *reaching) await(ctx context.Context, n *node, outside string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, reachTime, fmt.Errorf("no verdict within %v", reachTime))
	defer cancel()
	for {
		var reach struct {
			Reachability string
			Addrs        []struct{ Addr, Reachability string }
		}
		if err := n.askJSON(ctx, &reach, "addrs", "reach"); err == nil {
			r.Got, r.Mapped = reach.Reachability, nil
			for _, a := range reach.Addrs {
				if strings.Contains(a.Addr, "/"+outside+"/") && a.Reachability == "public" {
					r.Mapped = append(r.Mapped, a.Addr)
				}
			}
			if r.Got == r.Want && (r.Router != lan.UPnP || len(r.Mapped) == 2) {
				return nil
			}
			if r.Got != r.Want && r.Got != "unknown" && r.Router != lan.UPnP {
				return fmt.Errorf("the node takes itself for %s", r.Got)
			}
		}
		if err := sleep(ctx, pingBreak); err != nil {
			return fmt.Errorf("%w; it says %s, mapped %v", err, r.Got, r.Mapped)
		}
	}
}

// diagnoses are what the doctor has to say of each router.
var diagnoses = map[lan.NAT]map[string]string{
	lan.Cone:      {"reach.node": "warning", "nat.type": "ok", "nat.portmap": "warning", "nat.relay": "warning"},
	lan.FullCone:  {"reach.node": "ok", "nat.type": "ok", "nat.portmap": "warning", "nat.relay": "ok", "nat.hairpin": "warning"},
	lan.Hairpin:   {"reach.node": "ok", "nat.type": "ok", "nat.portmap": "warning", "nat.relay": "ok", "nat.hairpin": "ok"},
	lan.Symmetric: {"reach.node": "warning", "nat.type": "warning", "nat.portmap": "warning", "nat.relay": "warning"},
	lan.UDPBlock:  {"reach.node": "warning", "nat.type": "ok", "udp.blocked": "warning", "nat.portmap": "warning", "nat.relay": "warning"},
	lan.UPnP:      {"reach.node": "ok", "nat.type": "ok", "nat.portmap": "ok", "nat.double": "ok", "nat.relay": "ok", "nat.hairpin": "warning"},
}

// consult waits until the doctor says what it has to.
func (r *reaching) consult(ctx context.Context, n *node) error {
	ctx, cancel := context.WithTimeoutCause(ctx, reachTime/3, errors.New("the doctor is wrong"))
	defer cancel()
	for {
		var d struct {
			Checks []struct{ ID, Status, Evidence, Remedy string }
		}
		if err := n.askJSON(ctx, &d, "doctor"); err != nil {
			return err
		}
		var wrong []string
		r.Doctor = make(map[string]string)
		for _, c := range d.Checks {
			r.Doctor[c.ID] = c.Status
			want := diagnoses[r.Router][c.ID]
			if c.ID == "clock" { // the servers have signed their addresses just now
				want = "ok"
			}
			if r.Behind != "" && c.ID == "nat.double" {
				want = "warning"
			}
			if (c.Remedy == "") != (c.Status == "ok" || c.Status == "unchecked") || c.Evidence == "" {
				wrong = append(wrong, fmt.Sprintf("%s is %s with the remedy %q: %s", c.ID, c.Status, c.Remedy, c.Evidence))
			}
			if want != "" && c.Status != want {
				wrong = append(wrong, fmt.Sprintf("%s is %s, want %s: %s", c.ID, c.Status, want, c.Evidence))
			}
		}
		if len(wrong) == 0 {
			return nil
		}
		if err := sleep(ctx, pingBreak); err != nil {
			return fmt.Errorf("%w: %s", err, strings.Join(wrong, "; "))
		}
	}
}

// runNode runs a node in the foreground; end sends it SIGTERM and waits.
func runNode(ctx context.Context, binary string, on *lan.Host, config string) (n *node, end func() error, err error) {
	n = &node{host: on, binary: binary}
	if n.folder, err = os.MkdirTemp("", "natlab"); err != nil {
		return nil, nil, err
	}
	file := filepath.Join(n.folder, "node.json")
	if err := os.WriteFile(file, []byte(`{"apps": {"xnode": {`+config+`}}}`), 0o600); err != nil {
		return nil, nil, err
	}
	cmd := n.command(ctx, "run", "-c", file)
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return n, func() error {
		err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
		return errors.Join(err, os.RemoveAll(n.folder))
	}, nil
}
