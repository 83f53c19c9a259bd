// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/lan"
	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

const (
	// relaysTime is how long a node may take to have places at relays, from its
	// start and from the death of relays on.
	relaysTime = 2 * time.Minute
	// placesWanted is at how many relays a node has places if nothing else is said.
	placesWanted = 2
)

// relayAddrs are where the relays are, besides the lab's own host: in networks of
// their own, for AutoNAT asks several.
var relayAddrs = []string{"5.1.1.1", "23.1.1.1", "31.1.1.1", "45.1.1.1", "62.1.1.1"}

// relaying is a node behind a router with configs/private-node.json, which names no
// relay. It has to find out that nobody can reach it, find relays in the DHT, and be
// reached through them; and when they die, to find others.
type relaying struct {
	Router lan.NAT `json:"router"`
	// Found and Again are after how many seconds there were places at first, and
	// after the relays of the first had died.
	Found float64 `json:"found_seconds"`
	Again float64 `json:"again_seconds"`
	OK    bool    `json:"ok"`
	Error string  `json:"error,omitempty"`
}

func relayings() []*relaying {
	return []*relaying{{Router: lan.Cone}, {Router: lan.Symmetric}}
}

func (r *relaying) String() string { return fmt.Sprintf("relays %s", r.Router) }

func (r *relaying) try(ctx context.Context, number int, xnode string) (err error) {
	l, err := newLab(ctx, fmt.Sprintf("z%d", number), r.Router, lan.Cone, lan.Shape{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	var points []string // of the public
	relays := map[string]*node{}
	defer func() {
		for _, n := range relays {
			err = errors.Join(err, n.close())
		}
	}()
	for _, ip := range relayAddrs {
		if err = l.relay.IP(ctx, "addr add "+ip+"/32 dev eth0"); err != nil {
			return err
		}
		bootstrap := ""
		if len(points) > 0 {
			bootstrap = fmt.Sprintf(`, "discovery": {"bootstrap": {"peers": [%q]}}`, points[0])
		}
		var n *node
		if n, err = startNode(ctx, xnode, l.relay, fmt.Sprintf(`"listen": ["/ip4/%s/tcp/4001"], "routing": {"kad": {"mode": "server"}},
			"nat": {"relay": {"service": {}}, "autonat": {"roles": ["server"]}}%s`, ip, bootstrap)); err != nil {
			return err
		}
		var id struct{ Peer string }
		if err = n.askJSON(ctx, &id, "id"); err != nil {
			return errors.Join(err, n.close())
		}
		relays[id.Peer] = n
		points = append(points, fmt.Sprintf("/ip4/%s/tcp/4001/p2p/%s", ip, id.Peer))
	}

	config, err := privateNode(points)
	if err != nil {
		return err
	}
	private, err := startNode(ctx, xnode, l.sides[0].host, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, private.close()) }()
	places, took, err := awaitPlaces(ctx, private, nil)
	if err != nil {
		return err
	}
	r.Found = took.Seconds()
	visitor := &node{host: l.sides[1].host, binary: xnode, folder: private.folder}
	for _, p := range places {
		if _, err := visitor.ask(ctx, "ping", "-n", "1", p.addr); err != nil {
			return fmt.Errorf("reached at %s: %w", p.addr, err)
		}
	}
	for _, p := range places {
		n := relays[p.relay]
		if n == nil {
			return fmt.Errorf("a place at %s, which is no relay", p.relay)
		}
		delete(relays, p.relay)
		if err := n.close(); err != nil {
			return err
		}
	}
	later, took, err := awaitPlaces(ctx, private, places)
	if err != nil {
		return err
	}
	r.Again = took.Seconds()
	for _, p := range later {
		if _, err := visitor.ask(ctx, "ping", "-n", "1", p.addr); err != nil {
			return fmt.Errorf("reached at %s later: %w", p.addr, err)
		}
	}
	r.OK = true
	return nil
}

// privateNode is configs/private-node.json, as startNode takes it, with the lab's
// bootstrap peers in the place of the public ones.
func privateNode(points []string) (string, error) {
	root, err := peers.Root()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(root, "configs", "private-node.json"))
	if err != nil {
		return "", err
	}
	var document struct {
		Apps struct{ Xnode map[string]any }
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return "", err
	}
	discovery, ok := document.Apps.Xnode["discovery"].(map[string]any)
	if !ok || discovery["bootstrap"] == nil {
		return "", errors.New("configs/private-node.json has no bootstrap peers any more")
	}
	discovery["bootstrap"] = map[string]any{"peers": points}
	raw, err := json.Marshal(document.Apps.Xnode)
	return strings.TrimSuffix(strings.TrimPrefix(string(raw), "{"), "}"), err
}

// place is one at a relay, and where the node is reached through it.
type place struct{ relay, addr string }

// awaitPlaces waits until a node has its places, at none of those relays where it had
// some before.
func awaitPlaces(ctx context.Context, n *node, before []place) (places []place, took time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, relaysTime, fmt.Errorf("no %d places at relays within %v", placesWanted, relaysTime))
	defer cancel()
	begun := time.Now()
	var id struct{ Peer string }
	if err := n.askJSON(ctx, &id, "id"); err != nil {
		return nil, 0, err
	}
	for {
		var stats struct {
			Places []struct {
				Relay, Error string
				Addrs        []string
			}
		}
		if err := n.askJSON(ctx, &stats, "relay", "ls"); err != nil {
			return nil, 0, err
		}
		places = nil
		for _, p := range stats.Places {
			old := slices.ContainsFunc(before, func(b place) bool { return b.relay == p.Relay })
			if p.Error == "" && len(p.Addrs) > 0 && !old {
				places = append(places, place{p.Relay, p.Addrs[0] + "/p2p/" + id.Peer})
			}
		}
		if len(places) >= placesWanted {
			return places, time.Since(begun), nil
		}
		if err := sleep(ctx, pingBreak); err != nil {
			return nil, 0, fmt.Errorf("%w; it has %+v", err, stats.Places)
		}
	}
}
