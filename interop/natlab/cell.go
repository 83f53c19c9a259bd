// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/lan"
	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

// port is what peers listen on, in every run: the systems must not remember the
// connections of the one before.
const port = 4001

// links are the shapes of the uplinks of both routers.
var links = []struct {
	name  string
	shape lan.Shape
}{
	{"clean", lan.Shape{Delay: 20 * time.Millisecond}},
	{"lossy", lan.Shape{Delay: 20 * time.Millisecond, Jitter: 30 * time.Millisecond, Loss: 0.02}},
}

// open is no router at all: the host is on the Internet, and tells others so.
const open lan.NAT = "open"

// punchers are the peers that dial from the port they listen on. Only they get
// through a NAT; of a pair with another, that one has to be open.
var punchers = []string{peers.Xnode, "go"}

// pair are the peers of a cell.
type pair struct {
	name              string
	dials, has, relay peers.Peer // on the first host, on the second, and outside
}

// pairsOf lists every peer with itself, and with mixed, this project's with each of
// the others, too: who dials is named first.
func pairsOf(chosen []peers.Peer, mixed bool) (list []pair) {
	for _, p := range chosen {
		if slices.Contains(punchers, p.Name) {
			list = append(list, pair{p.Name, p, p, p})
		}
	}
	if !mixed {
		return list
	}
	own := chosen[0]
	for _, p := range chosen[1:] {
		list = append(list, pair{own.Name + ">" + p.Name, own, p, own}, pair{p.Name + ">" + own.Name, p, own, own})
	}
	return list
}

// goes reports whether the pair can be tried with such routers.
func (p pair) goes(a, b lan.NAT) bool {
	return (a == open || slices.Contains(punchers, p.dials.Name)) && (b == open || slices.Contains(punchers, p.has.Name))
}

// cell is one combination, tried several times.
type cell struct {
	Peer      string `json:"peer"`
	Routers   string `json:"routers"` // that of who dials, that of who is dialled
	Transport string `json:"transport"`
	Link      string `json:"link"`
	// Possible tells whether there can be a direct connection at all.
	Possible bool `json:"possible"`
	Runs     int  `json:"runs"`
	// Direct is in how many runs there was one, Relayed in how many of the others
	// the connection through the relay was of use still.
	Direct  int `json:"direct"`
	Relayed int `json:"relayed"`
	// Median and P95 are how long it took from the start of the relayed dial, in
	// milliseconds; Through is the median of that dial alone.
	Median  float64  `json:"median_ms,omitempty"`
	P95     float64  `json:"p95_ms,omitempty"`
	Through float64  `json:"through_ms,omitempty"`
	OK      bool     `json:"ok"`
	Errors  []string `json:"errors,omitempty"`

	peers         pair
	dials, has    lan.NAT
	shape         lan.Shape
	took, through []float64
}

// possible tells whether there can be a direct connection between hosts behind
// routers. One whose ports nobody can know may speak first to who takes from
// anybody.
func possible(a, b lan.NAT) bool {
	if a == open || b == open {
		return true
	}
	if a == lan.Symmetric {
		return b == lan.FullCone
	}
	return b != lan.Symmetric || a == lan.FullCone
}

// kinds are the routers of the cells.
var kinds = []lan.NAT{lan.Cone, lan.FullCone, lan.Symmetric, open}

// cellsOf lists the combinations that have, of each property, one of the words that
// are given for it.
func cellsOf(pairs []pair, words []string) (cells []*cell, err error) {
	known := map[string]int{} // which property a word is of
	for _, a := range kinds {
		for _, b := range kinds {
			if a == open && b == open {
				continue // nothing to be punched
			}
			for _, transport := range []string{"quic", "tcp"} {
				for _, link := range links {
					for _, p := range pairs {
						if !p.goes(a, b) {
							continue
						}
						c := &cell{
							Peer: p.name, Routers: fmt.Sprintf("%s-%s", a, b), Transport: transport, Link: link.name,
							Possible: possible(a, b), peers: p, dials: a, has: b, shape: link.shape,
						}
						for i, word := range c.words() {
							known[word] = i
						}
						cells = append(cells, c)
					}
				}
			}
		}
	}
	for _, word := range words {
		if _, ok := known[word]; !ok {
			return nil, fmt.Errorf("--only: no cell has %q", word)
		}
	}
	return slices.DeleteFunc(cells, func(c *cell) bool {
		for i, has := range c.words() {
			of := slices.DeleteFunc(slices.Clone(words), func(word string) bool { return known[word] != i })
			if len(of) > 0 && !slices.Contains(of, has) {
				return true
			}
		}
		return false
	}), nil
}

// words are the properties of a cell.
func (c *cell) words() [4]string { return [4]string{c.Peer, c.Routers, c.Transport, c.Link} }

// String names the cell.
func (c *cell) String() string {
	return fmt.Sprintf("%s, %s, %s, %s", c.Peer, c.Routers, c.Transport, c.Link)
}

// note adds the outcome of a run.
func (c *cell) note(o outcome, err error) {
	c.Runs++
	if err == nil {
		c.through = append(c.through, o.Relayed)
	}
	switch {
	case err != nil:
		c.Errors = append(c.Errors, err.Error())
	case o.Direct:
		c.Direct++
		c.took = append(c.took, o.DirectAfter)
	default:
		c.Relayed++
	}
}

// judge is called after all runs.
func (c *cell) judge() {
	c.Median, c.P95 = quantile(c.took, 0.5), quantile(c.took, 0.95)
	c.Through = quantile(c.through, 0.5)
	c.OK = c.Direct == c.Runs && len(c.Errors) == 0
	if !c.Possible {
		c.OK = c.Direct+c.Relayed == c.Runs && len(c.Errors) == 0
	}
}

// quantile is the value that a part of the values do not exceed; 0 of none.
func quantile(values []float64, part float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[max(0, int(math.Ceil(part*float64(len(values))))-1)]
}

// try makes a lab, and has the cell run in it.
func (c *cell) try(ctx context.Context, number int, o *options) (err error) {
	l, err := newLab(ctx, fmt.Sprint(number), c.dials, c.has, c.shape)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	flags := []string{"--transport", c.Transport}
	if o.security != "" {
		flags = append(flags, "--security", o.security)
	}
	relay, err := l.serve(ctx, l.relay, c.peers.relay, append([]string{"--ip", l.relayAddr.String(), "--relay-service"}, flags...)...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, relay.Close()) }()
	for range o.runs {
		c.note(l.punch(ctx, c, relay.addrs[0], flags, o.wait))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}
