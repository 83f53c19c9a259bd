// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package peers knows the interop peers: what they speak, how they are set up
// and how they are started.
package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Peer is one implementation behind the common command line.
type Peer struct {
	Name string
	// Title says what it is built on.
	Title string
	// Argv starts it, without a command.
	Argv []string
	// Stacks are what it speaks.
	Stacks []Stack
	// DHT are the prefixes of the DHTs that it can be a part of.
	DHT []string
	// ServesDelegated and AsksDelegated tell whether it answers delegated routing
	// over HTTP, and has others answer.
	ServesDelegated, AsksDelegated bool
	// Relay is true if it can be a relay, have a place at one and dial through one.
	Relay bool
	// AutoNAT are the versions of AutoNAT with which it asks and answers.
	AutoNAT []string
	// PubSub are the ways in which it carries messages on topics.
	PubSub []string
	// MDNS are the versions of IP over which it finds peers by multicast DNS.
	MDNS []string
	// Rendezvous tells whether it can be a rendezvous point, and ask one.
	Rendezvous bool
	// HTTP tells whether it serves and asks over HTTP on streams.
	HTTP bool

	lacks func(context.Context) string // what is missing to set it up; nil: nothing that can be missing

	made  string     // what setting up makes, as patterns of file names; empty: always set up
	setup [][]string // the commands, run in dir
	dir   string
}

// Prefixes of DHTs: that of the public one, and that which goes with it on
// local networks.
const (
	PublicDHT = "/ipfs"
	LocalDHT  = "/ipfs/lan"
)

// Versions of IP.
const (
	IPv4 = "ip4"
	IPv6 = "ip6"
)

// Ways to carry messages on topics.
const (
	Floodsub  = "floodsub"
	Gossipsub = "gossipsub"
	Unsigned  = "unsigned" // gossipsub, and no message has an author
)

// CommonAutoNAT returns the versions of AutoNAT that all peers speak.
func CommonAutoNAT(all ...Peer) []string {
	return slices.DeleteFunc(slices.Clone(all[0].AutoNAT), func(version string) bool {
		return slices.ContainsFunc(all, func(p Peer) bool { return !slices.Contains(p.AutoNAT, version) })
	})
}

// CommonPubSub returns the ways that all peers know.
func CommonPubSub(all ...Peer) []string {
	return slices.DeleteFunc(slices.Clone(all[0].PubSub), func(way string) bool {
		return slices.ContainsFunc(all, func(p Peer) bool { return !slices.Contains(p.PubSub, way) })
	})
}

// CommonDHT returns the first DHT that all peers can be a part of; empty if
// there is none.
func CommonDHT(all ...Peer) string {
	for _, prefix := range all[0].DHT {
		if !slices.ContainsFunc(all, func(p Peer) bool { return !slices.Contains(p.DHT, prefix) }) {
			return prefix
		}
	}
	return ""
}

// Xnode is the name of the project's own peer.
const Xnode = "xnode"

// All lists the peers of the checkout at root, the project's own first.
func All(root string) []Peer {
	at := func(parts ...string) string { return filepath.Join(append([]string{root}, parts...)...) }
	build := func(to string) []string { return []string{"go", "build", "-o", at("bin", to), "."} }
	return []Peer{
		{
			Name: Xnode, Title: "this project", Argv: []string{at("bin", "xpeer")},
			Stacks: slices.Concat(
				stacks("tcp ws", "noise tls", "yamux mplex"), stacks("wss", "noise tls", "yamux"), stacks("tcp", "plaintext", "yamux"),
				whole("quic", "webtransport", "webrtc-direct", webRTC), private("tcp", "noise", "yamux"),
			),
			DHT: []string{PublicDHT, LocalDHT}, PubSub: []string{Floodsub, Gossipsub, Unsigned}, Relay: true, AutoNAT: []string{"v1", "v2"},
			ServesDelegated: true, AsksDelegated: true,
			MDNS: []string{IPv4, IPv6}, Rendezvous: true, HTTP: true,
			dir: at("interop", "xpeer"), setup: [][]string{build("xpeer")},
		},
		{
			Name: "go", Title: "go-libp2p", Argv: []string{at("bin", "gopeer")},
			Stacks: slices.Concat(
				stacks("tcp ws wss", "noise tls plaintext", "yamux"),
				whole("quic", "webtransport", "webrtc-direct"), private("tcp", "noise", "yamux"),
			),
			DHT: []string{PublicDHT, LocalDHT}, PubSub: []string{Floodsub, Gossipsub, Unsigned}, Relay: true, AutoNAT: []string{"v1", "v2"},
			MDNS: []string{IPv4, IPv6}, HTTP: true,
			dir: at("interop", "go"), setup: [][]string{build("gopeer")},
		},
		{
			Name: "js", Title: "js-libp2p", Argv: []string{at("interop", "js", "peer")},
			Stacks: slices.Concat(
				stacks("tcp ws wss", "noise tls plaintext", "yamux mplex"),
				whole("quic", "webrtc-direct", webRTC), private("tcp", "noise", "yamux"),
			),
			DHT: []string{PublicDHT, LocalDHT}, PubSub: []string{Floodsub, Gossipsub, Unsigned}, Relay: true, AutoNAT: []string{"v1", "v2"},
			AsksDelegated: true, // helia's client
			MDNS:          []string{IPv4},
			dir:           at("interop", "js"), made: "node_modules/@libp2p/circuit-relay-v2 node_modules/@libp2p/mdns node_modules/@libp2p/autonat-v2 node_modules/@helia/delegated-routing-v1-http-api-client",
			// Not npm ci: it wants every optional package in the lock, also those of @chainsafe/libp2p-quic that npm's registry lacks.
			setup: [][]string{{"npm", "install", "--no-save", "--no-audit", "--no-fund"}},
		},
		{
			Name: "py", Title: "py-libp2p", Argv: []string{at("interop", "py", "peer")},
			Stacks: slices.Concat(
				stacks("tcp ws wss", "noise tls plaintext", "yamux mplex"),
				whole("quic"), private("tcp", "noise", "yamux"),
			),
			DHT: []string{PublicDHT}, PubSub: []string{Floodsub, Gossipsub}, Relay: true, AutoNAT: []string{"v1"},
			MDNS: []string{IPv4}, Rendezvous: true,
			dir: at("interop", "py"), made: ".venv/lib/python3*/site-packages/libp2p", setup: [][]string{{at("interop", "py", "setup")}},
		},
		{
			Name: "rust", Title: "rust-libp2p", Argv: []string{filepath.Join(rustDir(), "debug", "rustpeer")},
			MDNS: []string{IPv4, IPv6}, Rendezvous: true,
			dir: at("interop", "rust"), lacks: noRust, setup: [][]string{{"cargo", "build", "--quiet", "--locked", "--target-dir", rustDir()}},
		},
		{
			Name: "kubo", Title: "Kubo", Argv: []string{at("bin", "kubopeer")},
			DHT: []string{LocalDHT}, ServesDelegated: true, AsksDelegated: true,
			dir: at("interop", "kubo"), setup: [][]string{
				{"go", "build", "-o", at("bin", "ipfs"), "github.com/ipfs/kubo/cmd/ipfs"}, build("kubopeer"),
			},
		},
	}
}

// Limit is the yardstick of the benchmarks: no libp2p, only bytes over TCP.
func Limit(root string) Peer {
	to := filepath.Join(root, "bin", "limit")
	return Peer{
		Name: "limit", Title: "TCP alone, and with an AEAD", Argv: []string{to},
		dir: filepath.Join(root, "interop", "limit"), setup: [][]string{{"go", "build", "-o", to, "."}},
	}
}

// Named returns the peers of the given names, the project's own always first.
func Named(all []Peer, names []string) ([]Peer, error) {
	chosen := all[:1:1]
	for _, name := range names {
		at := slices.IndexFunc(all, func(p Peer) bool { return p.Name == name })
		switch {
		case name == Xnode || name == "":
		case at < 0:
			return nil, fmt.Errorf("no peer %q", name)
		default:
			chosen = append(chosen, all[at])
		}
	}
	return chosen, nil
}

// Lacks says what is missing to set the peer up on this machine; empty if nothing
// is known to be.
func (p Peer) Lacks(ctx context.Context) string {
	if p.lacks == nil {
		return ""
	}
	return p.lacks(ctx)
}

// rustDir is where Rust's compiler keeps what it makes: outside of the checkout,
// like the build cache of Go, for it takes minutes the first time.
func rustDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "xnode-interop", "rust")
}

// leastRust is the minor version of Rust 1 that rust-libp2p needs.
const leastRust = 88

// noRust says why Rust code cannot be built.
func noRust(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "cargo", "--version").Output()
	if err != nil {
		return fmt.Sprintf("Rust's cargo: %v", err)
	}
	var minor int
	if _, err := fmt.Sscanf(string(out), "cargo 1.%d.", &minor); err != nil || minor < leastRust {
		return fmt.Sprintf("Rust 1.%d or newer; this is %s", leastRust, strings.TrimSpace(string(out)))
	}
	return ""
}

// SetupAll sets up the peers of the given names, the project's own always first, and
// returns them. Those that lack something are left out.
func SetupAll(ctx context.Context, root string, names []string, log io.Writer) ([]Peer, error) {
	chosen, err := Named(All(root), names)
	if err != nil {
		return nil, err
	}
	var there []Peer
	for _, p := range chosen {
		if lacks := p.Lacks(ctx); lacks != "" {
			fmt.Fprintf(log, "%s is left out: it needs %s\n", p.Name, lacks)
			continue
		}
		if err := p.Setup(ctx, log); err != nil {
			return nil, err
		}
		there = append(there, p)
	}
	return there, nil
}

// Setup builds the peer, or installs what it needs if that is missing.
func (p Peer) Setup(ctx context.Context, log io.Writer) error {
	made := p.made != ""
	for pattern := range strings.FieldsSeq(p.made) {
		found, err := filepath.Glob(filepath.Join(p.dir, pattern))
		if err != nil {
			return err
		}
		made = made && len(found) > 0
	}
	if made {
		return nil
	}
	for _, argv := range p.setup {
		fmt.Fprintf(log, "%s: %s\n", p.Name, strings.Join(argv, " "))
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("set up peer %s in %s: %s: %w", p.Name, p.dir, strings.Join(argv, " "), err)
		}
	}
	return nil
}

// Command returns the command line of one command.
func (p Peer) Command(words ...string) []string { return append(slices.Clone(p.Argv), words...) }

// Root finds the checkout that holds the working folder.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "interop", "xpeer")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("run this inside a checkout of the project")
		}
		dir = up
	}
}
