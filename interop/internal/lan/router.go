// SPDX-License-Identifier: Apache-2.0 OR MIT

package lan

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Shape is what a [Wire] does to the frames of each direction. The zero Shape is a
// cable.
type Shape struct {
	// Delay is how long a frame takes, Jitter by how much more at most. The order
	// of frames stays.
	Delay, Jitter time.Duration
	// Loss is the part of the frames that does not arrive, from 0 to 1.
	Loss float64
}

// Cut is a wire that carries nothing.
var Cut = Shape{Loss: 1}

// NAT is what a router does to addresses and ports. None of them ever refuses a
// packet that nobody asked for: it is dropped.
type NAT string

const (
	// Cone shows a port of the inside as one port to all, the same one if that is
	// free; only who was sent something to may answer.
	Cone NAT = "cone"
	// FullCone is [Cone], and anyone may send to a port that is shown.
	FullCone NAT = "fullcone"
	// Hairpin is [FullCone], and hosts inside reach each other, and themselves, at
	// the router's address outside.
	Hairpin NAT = "hairpin"
	// Symmetric shows a port as another one to every destination.
	Symmetric NAT = "symmetric"
	// UDPBlock is [Cone] for TCP, and no UDP leaves.
	UDPBlock NAT = "udpblock"
	// UPnP is [Cone], and hosts inside may ask for ports by UPnP, NAT-PMP and PCP.
	// It takes the command miniupnpd.
	UPnP NAT = "upnp"
)

// NATs lists them all.
var NATs = []NAT{Cone, FullCone, Hairpin, Symmetric, UDPBlock, UPnP}

// Router is a host between two networks, with NAT. It takes the command nft
// (nftables).
type Router struct {
	*Host
	Outside, Inside *Link
	inside          *Net
	kind            NAT
	daemon          *exec.Cmd // of UPnP
	folder          string    // of its files
}

// NewRouter puts a router between a network inside, on which it is the first host,
// and one outside. Its uplink goes over a wire unless that is nil.
func NewRouter(ctx context.Context, inside, outside *Net, kind NAT, uplink *Wire) (*Router, error) {
	h, err := NewHost(ctx)
	if err != nil {
		return nil, err
	}
	r := &Router{Host: h, inside: inside, kind: kind}
	if err := r.up(ctx, outside, uplink); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Router) up(ctx context.Context, outside *Net, uplink *Wire) (err error) {
	if r.Outside, err = r.JoinOver(ctx, outside, uplink); err != nil {
		return err
	}
	if r.Inside, err = r.Join(ctx, r.inside); err != nil {
		return err
	}
	if err := r.load(ctx, rules(r.kind, r.Outside.Name, r.Inside.Name)); err != nil {
		return err
	}
	if r.kind == UPnP {
		if err := r.startDaemon(ctx); err != nil {
			return err
		}
	}
	return r.run(ctx, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
}

// Address is the router's on the network outside, which all that it passes on
// has.
func (r *Router) Address() netip.Addr { return r.Outside.Addrs[0].Addr() }

// NewHost makes a machine behind the router.
func (r *Router) NewHost(ctx context.Context) (*Host, error) {
	h, err := NewHost(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := h.Join(ctx, r.inside); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	if err := h.IP(ctx, "route replace default via "+r.Inside.Addrs[0].Addr().String()); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// Forget has the router forget which ports it has shown as which, as if it were
// started anew. It takes the command conntrack.
func (r *Router) Forget(ctx context.Context) error {
	if r.kind == FullCone || r.kind == Hairpin {
		if err := r.run(ctx, "nft", "flush", "map", "ip", "nat", "holes"); err != nil {
			return err
		}
	}
	return r.run(ctx, "conntrack", "-F")
}

// Renumber gives the router another address outside, in the place of the one it
// has, and forgets what it has shown.
func (r *Router) Renumber(ctx context.Context, number int) error {
	if err := r.Outside.Down(ctx); err != nil {
		return err
	}
	if err := r.Outside.Up(ctx, number); err != nil {
		return err
	}
	return r.Forget(ctx)
}

// Maps returns the ports that hosts inside have asked for and have still.
func (r *Router) Maps(ctx context.Context) (string, error) {
	argv := r.Command("nft", "list", "chain", "inet", "igd", "mapped")
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
	if err != nil {
		return "", err
	}
	var maps []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "dnat") {
			maps = append(maps, strings.TrimSpace(line))
		}
	}
	return strings.Join(maps, "\n"), nil
}

// Close takes the router away.
func (r *Router) Close() error {
	var errs []error
	if r.daemon != nil {
		errs = append(errs, r.daemon.Process.Signal(syscall.SIGTERM))
		_ = r.daemon.Wait() // it ends by the signal
	}
	if r.folder != "" {
		errs = append(errs, os.RemoveAll(r.folder))
	}
	return errors.Join(append(errs, r.Host.Close())...)
}

func (r *Router) run(ctx context.Context, argv ...string) error {
	return run(ctx, r.Command(argv...))
}

// load has the kernel take rules of nftables.
func (r *Router) load(ctx context.Context, rules string) error {
	argv := r.Command("nft", "-f", "-")
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// rules are what makes a NAT, in the language of nftables.
func rules(kind NAT, wan, lan string) string {
	show, holes, enter, leave, blocked := "masquerade", "", "", "", ""
	switch kind {
	case Symmetric:
		show = "masquerade fully-random"
	case FullCone, Hairpin:
		holes = "map holes { type inet_proto . inet_service : ipv4_addr . inet_service; flags dynamic, timeout; timeout 1h; size 4096; }"
		enter = `iifname "` + wan + `" fib daddr type local dnat ip to meta l4proto . th dport map @holes`
		leave = `oifname "` + wan + `" meta l4proto { tcp, udp } update @holes { meta l4proto . th sport : ip saddr . th sport }`
		if kind == Hairpin {
			enter = strings.Replace(enter, `"`+wan+`"`, `{ "`+wan+`", "`+lan+`" }`, 1)
			leave += "\n\t\t" + `iifname "` + lan + `" oifname "` + lan + `" masquerade`
		}
	case UDPBlock:
		blocked = `iifname "` + lan + `" oifname "` + wan + `" meta l4proto udp drop`
	}
	return fmt.Sprintf(`
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		iifname { "lo", %[2]q } accept
		ct state established, related accept
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established, related accept
		ct state invalid drop
		%[7]s
		iifname %[2]q oifname %[1]q accept
		ct status dnat accept
	}
}
table ip nat {
	%[4]s
	chain enter {
		type nat hook prerouting priority dstnat;
		%[5]s
	}
	chain leave {
		type nat hook postrouting priority srcnat;
		%[6]s
		oifname %[1]q %[3]s
	}
}
`, wan, lan, show, holes, enter, leave, blocked)
}

// igdRules are the chains that the daemon fills.
const igdRules = `
table inet igd {
	chain passed { }
	chain mapped { }
	chain answered { }
	chain forward { type filter hook forward priority filter - 10; jump passed; }
	chain enter { type nat hook prerouting priority dstnat - 10; jump mapped; }
	chain leave { type nat hook postrouting priority srcnat - 10; jump answered; }
}
`

// daemonTime is how long miniupnpd may take to listen.
const daemonTime = 5 * time.Second

// startDaemon has the router give ports away.
func (r *Router) startDaemon(ctx context.Context) (err error) {
	if err := r.load(ctx, igdRules); err != nil {
		return err
	}
	if r.folder, err = os.MkdirTemp("", "igd"); err != nil {
		return err
	}
	config := filepath.Join(r.folder, "miniupnpd.conf")
	text := fmt.Sprintf(`ext_ifname=%s
listening_ip=%s
port=5000
enable_upnp=yes
enable_natpmp=yes
secure_mode=yes
ipv6_disable=yes
min_lifetime=10
max_lifetime=86400
upnp_table_name=igd
upnp_nat_table_name=igd
upnp_forward_chain=passed
upnp_nat_chain=mapped
upnp_nat_postrouting_chain=answered
uuid=6d1f7f9a-2f0e-4a9f-8a50-%012x
allow 1024-65535 %s 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`, r.Outside.Name, r.Inside.Name, os.Getpid(), r.inside.Prefix4)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	argv := r.Command("miniupnpd", "-d", "-4", "-f", config, "-P", filepath.Join(r.folder, "pid"))
	r.daemon = exec.Command(argv[0], argv[1:]...)
	if err := r.daemon.Start(); err != nil {
		r.daemon = nil
		return err
	}
	// Port 5000 in hexadecimal, in state 10: listening.
	const ready = "until grep -qi ' [0-9a-f]*:1388 00000000:0000 0a ' /proc/net/tcp; do sleep 0.05; done"
	ctx, cancel := context.WithTimeoutCause(ctx, daemonTime, fmt.Errorf("miniupnpd does not listen after %v", daemonTime))
	defer cancel()
	if err := r.run(ctx, "sh", "-c", ready); err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	return nil
}
