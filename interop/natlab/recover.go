// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/lan"
)

// healTime is how soon a node is to be connected again once that is possible.
const healTime = 15 * time.Second

// disturbance is something that happens to a node's connections. It returns once
// there can be some again.
type disturbance struct {
	name string
	do   func(context.Context, *side) error
}

var disturbances = []disturbance{
	{"the router forgets", func(ctx context.Context, s *side) error { return s.router.Forget(ctx) }},
	{"another address outside", func(ctx context.Context, s *side) error { return s.router.Renumber(ctx, 77) }},
	{"cable cut for 5 s", cutFor(5 * time.Second)},
	{"cable cut for 1 min", cutFor(time.Minute)},
}

func cutFor(d time.Duration) func(context.Context, *side) error {
	return func(ctx context.Context, s *side) error {
		s.uplink.Set(lan.Cut)
		defer s.uplink.Set(lan.Shape{Delay: 20 * time.Millisecond})
		return sleep(ctx, d)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// recovery is one disturbance of one node.
type recovery struct {
	Disturbance string  `json:"disturbance"`
	Router      lan.NAT `json:"router"`
	Transport   string  `json:"transport"`
	// After is how long it took until a ping went through again, in seconds.
	After float64 `json:"after_s"`
	// Same tells whether that was over the connection of before.
	Same  bool   `json:"same"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`

	disturb func(context.Context, *side) error
}

// recoveries lists what is tried.
func recoveries() (list []*recovery) {
	for _, d := range disturbances {
		for _, kind := range []lan.NAT{lan.Cone, lan.Symmetric} {
			for _, transport := range []string{"quic", "tcp"} {
				list = append(list, &recovery{Disturbance: d.name, Router: kind, Transport: transport, disturb: d.do})
			}
		}
	}
	return list
}

// String names the recovery.
func (r *recovery) String() string {
	return fmt.Sprintf("%s, %s, %s", r.Disturbance, r.Router, r.Transport)
}

// try makes a lab in which a node behind a router has a bootstrap peer outside, and
// disturbs it.
func (r *recovery) try(ctx context.Context, number int, xnode string) (err error) {
	l, err := newLab(ctx, fmt.Sprintf("r%d", number), r.Router, lan.Cone, lan.Shape{Delay: 20 * time.Millisecond})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	at := map[string]string{"quic": "/ip4/%s/udp/4001/quic-v1", "tcp": "/ip4/%s/tcp/4001"}[r.Transport]
	point, err := startNode(ctx, xnode, l.relay, fmt.Sprintf(`"listen": [%q]`, fmt.Sprintf(at, l.relayAddr)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, point.close()) }()
	var id struct{ Peer string }
	if err := point.askJSON(ctx, &id, "id"); err != nil {
		return err
	}
	n, err := startNode(ctx, xnode, l.sides[0].host, fmt.Sprintf(`"listen": [%q], "discovery": {"bootstrap": {"peers": [%q]}}`,
		fmt.Sprintf(at, "0.0.0.0"), fmt.Sprintf(at, l.relayAddr)+"/p2p/"+id.Peer))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	before, _, err := n.awaitPing(ctx, id.Peer)
	if err != nil {
		return fmt.Errorf("before: %w", err)
	}
	if err := r.disturb(ctx, &l.sides[0]); err != nil {
		return err
	}
	after, took, err := n.awaitPing(ctx, id.Peer)
	if err != nil {
		return err
	}
	r.After, r.Same = took.Seconds(), after == before
	if r.OK = took <= healTime; !r.OK {
		return fmt.Errorf("connected again after %v, want %v at most", took.Round(time.Second), healTime)
	}
	return nil
}

// node is a node of the standard distribution on a host.
type node struct {
	host   *lan.Host
	binary string
	folder string
}

// startNode runs a node with a data folder of its own.
func startNode(ctx context.Context, binary string, on *lan.Host, config string) (n *node, err error) {
	return startDocument(ctx, binary, on, `{"apps": {"xnode": {`+config+`}}}`)
}

// startDocument is startNode with all of the configuration's document.
func startDocument(ctx context.Context, binary string, on *lan.Host, document string) (n *node, err error) {
	n = &node{host: on, binary: binary}
	if n.folder, err = os.MkdirTemp("", "natlab"); err != nil {
		return nil, err
	}
	file := filepath.Join(n.folder, "node.json")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		return nil, err
	}
	if out, err := n.command(ctx, "start", "-c", file).CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("xnode start: %w: %s", err, strings.TrimSpace(string(out))), os.RemoveAll(n.folder))
	}
	return n, nil
}

func (n *node) command(ctx context.Context, words ...string) *exec.Cmd {
	argv := n.host.Command(append([]string{n.binary}, words...)...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "XNODE_DATA="+n.folder)
	return cmd
}

// ask runs a command that asks the node, and returns what it prints.
func (n *node) ask(ctx context.Context, words ...string) ([]byte, error) {
	out, err := n.command(ctx, words...).Output()
	if err != nil {
		return nil, fmt.Errorf("xnode %s: %w", strings.Join(words, " "), err)
	}
	return out, nil
}

// askJSON is ask with --json, and decodes the answer.
func (n *node) askJSON(ctx context.Context, answer any, words ...string) error {
	out, err := n.ask(ctx, append(words, "--json")...)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, answer)
}

func (n *node) close() error {
	_, err := n.ask(context.Background(), "stop")
	return errors.Join(err, os.RemoveAll(n.folder))
}

const (
	// pingTime is how long a ping may take, and between which there are breaks.
	pingTime, pingBreak = time.Second, 200 * time.Millisecond
	// giveUp is how long a connection is waited for.
	giveUp = 2 * time.Minute
)

// awaitPing waits until the node has a connection to a peer over which a ping goes,
// and tells when that connection was opened. It does not make one.
func (n *node) awaitPing(ctx context.Context, peer string) (opened string, took time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, giveUp, fmt.Errorf("no connection within %v", giveUp))
	defer cancel()
	begun := time.Now()
	for {
		opened, err := n.connected(ctx, peer)
		if err == nil && opened != "" {
			brief, stop := context.WithTimeout(ctx, pingTime)
			_, err = n.ask(brief, "ping", peer, "-n", "1")
			stop()
			if err == nil {
				return opened, time.Since(begun), nil
			}
		}
		if err := sleep(ctx, pingBreak); err != nil {
			return "", 0, err
		}
	}
}

// connected tells when the newest connection to a peer was opened; empty if there
// is none.
func (n *node) connected(ctx context.Context, peer string) (opened string, err error) {
	var conns []struct{ Peer, Opened string }
	if err := n.askJSON(ctx, &conns, "peers"); err != nil {
		return "", err
	}
	for _, c := range conns {
		if c.Peer == peer {
			opened = max(opened, c.Opened)
		}
	}
	return opened, nil
}
