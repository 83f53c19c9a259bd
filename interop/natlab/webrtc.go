// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/lan"
)

const (
	// placeTime is how long a node may take to have a place at the relay.
	placeTime = 30 * time.Second
	// cutClose is how soon a connection has to be closed once its path is gone:
	// transports.webrtc has an idle_timeout of 30 s, and the lab is busy.
	cutClose = 40 * time.Second
	// Where the servers of others listen, coturn's.
	coturnPort = 3478
)

// What comes of a meeting.
const (
	direct  = "direct"  // at the addresses of the two routers
	relayed = "relayed" // by way of the TURN server
	none    = "none"    // the two have only the connection through the relay, if any
)

// The servers that the two are told of, besides the relay.
const (
	noServers   = "none"
	ownSTUN     = "STUN of xnode"
	coturnSTUN  = "STUN of coturn"
	coturnTURN  = "TURN of coturn"
	coturnTCP   = "TURN of coturn, over TCP"
	wrongSecret = "TURN of coturn, wrong password"
)

// meeting is a node behind a router that dials one behind another, over WebRTC that
// is signalled through a relay.
type meeting struct {
	Dialer  lan.NAT `json:"dialer"`
	Dialled lan.NAT `json:"dialled"`
	Servers string  `json:"servers"`
	Want    string  `json:"want"`
	Got     string  `json:"got"`
	After   float64 `json:"after_seconds"` // until there was a connection, or that there is none
	// Cut is set if the dialer's cable is cut, for 5 s and until the connection
	// is closed; Survived and Closed say how long the connection was of no use,
	// and when it was closed, and Again how long a new one took.
	Cut      bool    `json:"cut,omitempty"`
	Survived float64 `json:"survived_seconds,omitempty"`
	Closed   float64 `json:"closed_seconds,omitempty"`
	Again    float64 `json:"again_seconds,omitempty"`
	OK       bool    `json:"ok"`
	Error    string  `json:"error,omitempty"`
}

// meetings lists what is tried: all, or those whose names have one of the words.
func meetings(only words) []*meeting {
	all := []*meeting{
		{Dialer: lan.Cone, Dialled: lan.Cone, Servers: noServers, Want: none},
		{Dialer: lan.Cone, Dialled: lan.Cone, Servers: ownSTUN, Want: direct, Cut: true},
		{Dialer: lan.Cone, Dialled: lan.Cone, Servers: coturnSTUN, Want: direct},
		{Dialer: lan.Symmetric, Dialled: lan.FullCone, Servers: ownSTUN, Want: direct},
		{Dialer: lan.Symmetric, Dialled: lan.Symmetric, Servers: ownSTUN, Want: none},
		{Dialer: lan.Symmetric, Dialled: lan.Symmetric, Servers: coturnTURN, Want: relayed, Cut: true},
		{Dialer: lan.Symmetric, Dialled: lan.Symmetric, Servers: wrongSecret, Want: none},
		{Dialer: lan.UDPBlock, Dialled: lan.Symmetric, Servers: coturnTCP, Want: relayed},
	}
	return slices.DeleteFunc(all, func(m *meeting) bool {
		return len(only) > 0 && !slices.ContainsFunc(only, func(word string) bool { return strings.Contains(m.String(), word) })
	})
}

func (m *meeting) String() string {
	return fmt.Sprintf("webrtc %s-%s, %s", m.Dialer, m.Dialled, m.Servers)
}

// turn is a TURN server of others, with one user.
type turn struct {
	secrets []string // the password, and a wrong one
	files   string   // a folder with both
	stop    func() error
}

// startTURN runs coturn on a host.
func startTURN(ctx context.Context, on *lan.Host, at netip.Addr) (t *turn, err error) {
	t = &turn{secrets: []string{rand.Text(), rand.Text()}}
	if t.files, err = os.MkdirTemp("", "natlab"); err != nil {
		return nil, err
	}
	for i, name := range []string{"right", "wrong"} {
		if err := os.WriteFile(filepath.Join(t.files, name), []byte(t.secrets[i]), 0o600); err != nil {
			return nil, err
		}
	}
	argv := on.Command("turnserver", "-n", "--listening-ip", at.String(), "--relay-ip", at.String(),
		"--listening-port", fmt.Sprint(coturnPort), "--lt-cred-mech", "--realm", "lab", "--user", "lab:"+t.secrets[0],
		"--no-tls", "--no-dtls", "--no-cli", "--fingerprint", "--log-file", "stdout", "--simple-log",
		"--pidfile", filepath.Join(t.files, "pid"), "--userdb", filepath.Join(t.files, "db"))
	cmd := exec.Command(argv[0], argv[1:]...)
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(t.files))
	}
	t.stop = func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()                          // it ends by the signal
		return os.RemoveAll(t.files)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, placeTime, errors.New("turnserver gives no answer"))
	defer cancel()
	for {
		brief, stop := context.WithTimeout(ctx, pingTime) // it asks once
		asked := on.Command("turnutils_stunclient", "-p", fmt.Sprint(coturnPort), at.String())
		out, err := exec.CommandContext(brief, asked[0], asked[1:]...).Output()
		stop()
		if err == nil && strings.Contains(string(out), at.String()+":") {
			return t, nil
		}
		if err := sleep(ctx, pingBreak); err != nil {
			return nil, errors.Join(err, t.stop())
		}
	}
}

// webrtc is the configuration of the transport.
func (m *meeting) webrtc(at netip.Addr, files string) string {
	server := func(password, query string) string {
		return fmt.Sprintf(`{"turn": [{"url": "turn:%s:%d%s", "username": "lab", "password_file": %q}]}`,
			at, coturnPort, query, filepath.Join(files, password))
	}
	switch m.Servers {
	case ownSTUN:
		return fmt.Sprintf(`{"stun": ["stun:%s:4001"]}`, at)
	case coturnSTUN:
		return fmt.Sprintf(`{"stun": ["stun:%s:%d"]}`, at, coturnPort)
	case coturnTURN:
		return server("right", "")
	case coturnTCP:
		return server("right", "?transport=tcp")
	case wrongSecret:
		return server("wrong", "")
	}
	return "{}"
}

// try makes a lab and has the two meet in it.
func (m *meeting) try(ctx context.Context, number int, xnode string) (err error) {
	l, err := newLab(ctx, fmt.Sprintf("w%d", number), m.Dialer, m.Dialled, lan.Shape{Delay: 10 * time.Millisecond})
	if err != nil {
		return err
	}
	later := func(f func() error) { err = errors.Join(err, f()) }
	defer later(l.close)
	t, err := startTURN(ctx, l.relay, l.relayAddr)
	if err != nil {
		return err
	}
	defer later(t.stop)
	relay, err := startNode(ctx, xnode, l.relay, fmt.Sprintf(`"listen": ["/ip4/%[1]s/tcp/4001", "/ip4/%[1]s/udp/4001/webrtc-direct"],
		"transports": {"tcp": {}, "webrtcdirect": {"stun_service": {}}}, "nat": {"relay": {"service": {}}}`, l.relayAddr))
	if err != nil {
		return err
	}
	defer later(relay.close)
	var id struct {
		Peer  string
		Addrs []string
	}
	if err := relay.askJSON(ctx, &id, "id"); err != nil {
		return err
	}
	start := func(on *lan.Host, listen string) (*node, error) {
		return startDocument(ctx, xnode, on, fmt.Sprintf(`{"logging": {"logs": {"default": {"level": "DEBUG"}}}, "apps": {"xnode": {
			"listen": [%s], "transports": {"tcp": {}, "webrtc": %s}, "nat": {"relay": {}}, "dial": {"policy": {"webrtc_delay": "5s"}}}}}`, listen, m.webrtc(l.relayAddr, t.files)))
	}
	dialled, err := start(l.sides[1].host, fmt.Sprintf(`"/ip4/%s/tcp/4001/p2p/%s/p2p-circuit", "/webrtc"`, l.relayAddr, id.Peer))
	if err != nil {
		return err
	}
	defer later(dialled.close)
	dialer, err := start(l.sides[0].host, "")
	if err != nil {
		return err
	}
	defer later(dialer.close)
	addr, err := dialled.place(ctx)
	if err != nil {
		return err
	}
	if err := m.meet(ctx, l, dialer, addr); err != nil {
		return err
	}
	if m.Cut {
		if err := m.cut(ctx, l, dialer, dialled, addr); err != nil {
			return err
		}
	}
	m.OK = true
	return errors.Join(dialer.keeps(t.secrets), dialled.keeps(t.secrets))
}

// place waits for the address at which the node can be met.
func (n *node) place(ctx context.Context) (addr string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, placeTime, fmt.Errorf("no place at the relay within %v", placeTime))
	defer cancel()
	for {
		var id struct{ Addrs []string }
		if err := n.askJSON(ctx, &id, "id"); err != nil {
			return "", err
		}
		at := slices.IndexFunc(id.Addrs, func(a string) bool { return strings.Contains(a, "/p2p-circuit/webrtc/") })
		if at >= 0 {
			return id.Addrs[at], nil
		}
		if err := sleep(ctx, pingBreak); err != nil {
			return "", err
		}
	}
}

// meet dials, and looks at what comes of it.
func (m *meeting) meet(ctx context.Context, l *lab, dialer *node, addr string) error {
	begun := time.Now()
	_, failure := dialer.ask(ctx, "connect", addr)
	m.After, m.Got = time.Since(begun).Seconds(), none
	c, err := dialer.met(ctx, addr)
	if err != nil && err != errNoConn {
		return err
	}
	if err == nil {
		if m.Got, err = m.way(l, c); err != nil {
			return err
		}
		if _, err := dialer.ask(ctx, "ping", peerOf(addr), "-n", "3"); err != nil {
			return err
		}
	}
	if m.Got != m.Want {
		return errors.Join(fmt.Errorf("the connection is %s, want %s", m.Got, m.Want), failure)
	}
	return nil
}

func peerOf(addr string) string { return addr[strings.LastIndexByte(addr, '/')+1:] }

// met is a connection over WebRTC.
type met struct {
	Addr, Transport, Opened string
	LocalAddr               string `json:"local_addr"`
}

var errNoConn = errors.New("there is no connection over WebRTC")

// met returns the connection to a peer that is over WebRTC.
func (n *node) met(ctx context.Context, addr string) (met, error) {
	var conns []struct {
		Peer string
		met
	}
	if err := n.askJSON(ctx, &conns, "peers"); err != nil {
		return met{}, err
	}
	for _, c := range conns {
		if c.Peer == peerOf(addr) && c.Transport == "webrtc" {
			return c.met, nil
		}
	}
	return met{}, errNoConn
}

// way says which way a connection takes, by the addresses of its ends.
func (m *meeting) way(l *lab, c met) (string, error) {
	at := func(addr string, who netip.Addr) bool { return strings.HasPrefix(addr, "/ip4/"+who.String()+"/udp/") }
	switch {
	case at(c.Addr, l.relayAddr), at(c.LocalAddr, l.relayAddr):
		return relayed, nil
	case at(c.Addr, l.sides[1].router.Address()):
		return direct, nil
	}
	return "", fmt.Errorf("the connection is between %s and %s", c.LocalAddr, c.Addr)
}

// cut takes the dialer's cable away: for a moment, which the connection survives,
// and until both sides have noticed. Afterwards the two can meet again.
func (m *meeting) cut(ctx context.Context, l *lab, dialer, dialled *node, addr string) error {
	before, err := dialer.met(ctx, addr)
	if err != nil {
		return err
	}
	uplink := l.sides[0].uplink
	heal := func() { uplink.Set(lan.Shape{Delay: 10 * time.Millisecond}) }
	defer heal()
	uplink.Set(lan.Cut)
	if err := sleep(ctx, 5*time.Second); err != nil {
		return err
	}
	heal()
	opened, took, err := dialer.awaitPing(ctx, peerOf(addr))
	if err != nil {
		return fmt.Errorf("the cable was cut for 5 s: %w", err)
	}
	m.Survived = took.Seconds()
	if opened != before.Opened || took > healTime {
		return fmt.Errorf("the cable was cut for 5 s: after %v there is the connection of %s, before that of %s", took, opened, before.Opened)
	}
	var id struct{ Peer string }
	if err := dialer.askJSON(ctx, &id, "id"); err != nil {
		return err
	}
	uplink.Set(lan.Cut)
	begun := time.Now()
	for _, side := range []struct {
		node *node
		peer string
	}{{dialer, addr}, {dialled, "/" + id.Peer}} {
		for {
			_, err := side.node.met(ctx, side.peer)
			if errors.Is(err, errNoConn) {
				break
			} else if err != nil {
				return err
			}
			if time.Since(begun) > cutClose {
				return fmt.Errorf("%v after the cable was cut the connection is not closed", cutClose)
			}
			if err := sleep(ctx, pingBreak); err != nil {
				return err
			}
		}
	}
	m.Closed = time.Since(begun).Seconds()
	heal()
	begun = time.Now()
	for {
		_, err := dialer.ask(ctx, "connect", addr)
		if err == nil {
			_, err = dialer.met(ctx, addr)
		}
		if err == nil {
			break
		}
		if time.Since(begun) > healTime {
			return fmt.Errorf("the cable is back: %w", err)
		}
		if err := sleep(ctx, pingBreak); err != nil {
			return err
		}
	}
	m.Again = time.Since(begun).Seconds()
	return nil
}

// keeps looks for secrets in all that the node has written: its log, in full, and
// its configuration.
func (n *node) keeps(secrets []string) error {
	debugging := false
	files, err := filepath.Glob(filepath.Join(n.folder, "*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a socket, or a folder
		}
		debugging = debugging || strings.Contains(string(text), "DEBUG")
		if slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(string(text), s) }) {
			return fmt.Errorf("%s has a password for the TURN server", filepath.Base(file))
		}
	}
	if !debugging {
		return fmt.Errorf("no log to look at: %s", files)
	}
	return nil
}
