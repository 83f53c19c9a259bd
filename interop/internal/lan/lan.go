// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package lan makes local networks out of Linux network namespaces: hosts, each
// with a network stack of its own, on bridges that carry multicast. Nothing on
// them is connected to the machine's networks, and nothing of them is left when
// the process that made them has ended.
//
// It takes root, or the right to make user namespaces, and the commands ip
// (iproute2) and nsenter (util-linux).
package lan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
)

// ErrUnavailable means that this machine, or what is allowed on it, has no room
// for networks.
var ErrUnavailable = errors.New("no network namespaces here")

// holdWord is the only argument of a process that keeps a namespace.
const holdWord = "hold-network-namespace"

// insideVar is set in the environment of a process that [Enter] has started.
const insideVar = "XNODE_LAN"

// Hold is to be called first by every main that uses the package, and returns in
// all processes but those that keep a host.
func Hold() {
	if len(os.Args) == 2 && os.Args[1] == holdWord {
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the process that wants the host
		os.Exit(0)
	}
}

// Inside tells whether the process is one that [Enter] has started.
func Inside() bool { return os.Getenv(insideVar) != "" }

var linkLocal = netip.MustParsePrefix("fe80::/64")

// Net is a network.
type Net struct {
	name string

	mu    sync.Mutex
	hosts int // that have joined so far

	// Prefix4 and Prefix6 are what its hosts have addresses of; one may be invalid.
	Prefix4, Prefix6 netip.Prefix
}

// Bridge is the name of the interface that sees everything on the network.
func (n *Net) Bridge() string { return n.name }

// New makes a network, in the namespace of the process, which [Enter] has started.
func New(ctx context.Context, name string, prefix4, prefix6 netip.Prefix) (*Net, error) {
	n := &Net{name: name, Prefix4: prefix4, Prefix6: prefix6}
	for _, words := range []string{
		"link add name " + name + " type bridge mcast_snooping 0",
		"link set dev " + name + " addrgenmode none",
		"link set dev " + name + " up",
	} {
		if err := ip(ctx, words); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// Host is a machine on networks.
type Host struct {
	hold  *exec.Cmd
	stdin io.Closer
	links int
}

// NewHost makes a machine that is on no network but its own loopback one.
func NewHost(ctx context.Context) (*Host, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	h := &Host{hold: exec.Command(exe, holdWord)}
	h.hold.SysProcAttr = namespaces(false)
	if h.stdin, err = h.hold.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := h.hold.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.hold.Start(); err != nil {
		return nil, err
	}
	if _, err := out.Read(make([]byte, 16)); err != nil { // it is in its namespace
		return nil, errors.Join(err, h.Close())
	}
	if err := h.IP(ctx, "link set dev lo up"); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// Close takes the machine away, once nothing runs on it.
func (h *Host) Close() error {
	_ = h.stdin.Close()
	return h.hold.Wait()
}

// Command returns the command line that runs another one on the host.
func (h *Host) Command(argv ...string) []string {
	return append([]string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", h.hold.Process.Pid), "--"}, argv...)
}

// IP runs a command of ip on the host.
func (h *Host) IP(ctx context.Context, words string) error {
	return run(ctx, h.Command(append([]string{"ip"}, strings.Fields(words)...)...))
}

// Link is an interface of a host on a network.
type Link struct {
	Name string
	// Addrs are its addresses, that of IPv4 first.
	Addrs []netip.Prefix
	// Sources are what its packets are from: with IPv6 they may have an address
	// that is good on the link only.
	Sources []netip.Addr
	host    *Host
	net     *Net
}

// Join plugs the host into a network, on which it has the next free addresses.
func (h *Host) Join(ctx context.Context, n *Net) (*Link, error) {
	return h.JoinOver(ctx, n, nil)
}

// JoinOver is Join over a wire of its own, which nobody else has used; nil is a
// cable.
func (h *Host) JoinOver(ctx context.Context, n *Net, w *Wire) (*Link, error) {
	n.mu.Lock()
	n.hosts++
	number := n.hosts
	n.mu.Unlock()
	l := &Link{Name: fmt.Sprintf("eth%d", h.links), host: h, net: n}
	h.links++
	end := fmt.Sprintf("%s-%d", n.name, number)
	if err := h.connect(ctx, end, l.Name, w); err != nil {
		return nil, err
	}
	for _, words := range []string{"link set dev " + end + " addrgenmode none master " + n.name, "link set dev " + end + " up"} {
		if err := ip(ctx, words); err != nil {
			return nil, err
		}
	}
	if err := h.IP(ctx, "link set dev "+l.Name+" addrgenmode none"); err != nil {
		return nil, err
	}
	if err := l.Up(ctx, number); err != nil {
		return nil, err
	}
	if w != nil {
		w.carry()
	}
	return l, nil
}

// connect makes an interface of the process and one of the host, and what is
// between them.
func (h *Host) connect(ctx context.Context, end, name string, w *Wire) error {
	if w == nil {
		return ip(ctx, fmt.Sprintf("link add name %s type veth peer name %s netns %d", end, name, h.hold.Process.Pid))
	}
	far := end + "-far"
	if err := w.make([2]string{end, far}); err != nil {
		return err
	}
	return ip(ctx, fmt.Sprintf("link set dev %s netns %d name %s", far, h.hold.Process.Pid, name))
}

// Up has the interface up, with the network's addresses of a number and routes by
// the first one that is.
func (l *Link) Up(ctx context.Context, number int) error {
	if err := l.host.IP(ctx, "link set dev "+l.Name+" up"); err != nil {
		return err
	}
	l.Addrs, l.Sources = nil, nil
	var words []string
	if l.net.Prefix4.IsValid() {
		l.Addrs = append(l.Addrs, nth(l.net.Prefix4, number))
		l.Sources = append(l.Sources, l.Addrs[0].Addr())
		words = append(words, fmt.Sprintf("addr add %s dev %s", l.Addrs[0], l.Name))
	}
	if l.net.Prefix6.IsValid() {
		a := nth(l.net.Prefix6, number)
		local := nth(linkLocal, number)
		l.Addrs = append(l.Addrs, a)
		l.Sources = append(l.Sources, a.Addr(), local.Addr())
		// Nobody else has the address: it need not be asked for.
		words = append(words, fmt.Sprintf("addr add %s dev %s nodad", local, l.Name), fmt.Sprintf("addr add %s dev %s nodad", a, l.Name))
	}
	if l.Name == "eth0" { // as if there were a router
		if l.net.Prefix4.IsValid() {
			words = append(words, "route replace default dev eth0")
		}
		if l.net.Prefix6.IsValid() {
			words = append(words, "-6 route replace default dev eth0")
		}
	}
	for _, w := range words {
		if err := l.host.IP(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// Down takes the interface down, and its addresses off.
func (l *Link) Down(ctx context.Context) error {
	l.Addrs = nil
	return errors.Join(l.host.IP(ctx, "addr flush dev "+l.Name), l.host.IP(ctx, "link set dev "+l.Name+" down"))
}

// nth is an address of a network, with the length of its prefix.
func nth(p netip.Prefix, number int) netip.Prefix {
	b := p.Masked().Addr().AsSlice()
	b[len(b)-1] = byte(number)
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, p.Bits())
}

// ip runs a command of ip where the process is.
func ip(ctx context.Context, words string) error {
	return run(ctx, append([]string{"ip"}, strings.Fields(words)...))
}

func run(ctx context.Context, argv []string) error {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		at := max(0, slices.Index(argv, "ip"))
		return fmt.Errorf("%s: %w: %s", strings.Join(argv[at:], " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
