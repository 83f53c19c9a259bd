// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// contract is a part in one of libp2p's public transport suites, as its
// environment describes it: a listener leaves its address in Redis, a dialer
// takes it from there, connects, pings and prints how long that took.
//
//   - unified-testing (https://github.com/libp2p/unified-testing): upper-case
//     variables, YAML on stdout
//   - test-plans (https://github.com/libp2p/test-plans): lower-case variables,
//     JSON on stdout
type contract struct {
	dialer  bool
	legacy  bool // test-plans
	redis   string
	key     string // of the list with the listener's address
	ip      string // to listen on
	timeout time.Duration
	options options
}

// contractOf reads the environment. It returns false if that describes no part.
func contractOf(env func(string) string) (contract, bool) {
	c := contract{legacy: env("IS_DIALER") == ""}
	name := func(upper, lower string) string {
		if c.legacy {
			return env(lower)
		}
		return env(upper)
	}
	role := name("IS_DIALER", "is_dialer")
	if role == "" {
		return c, false
	}
	c.dialer = role == "true"
	c.redis = orElse(name("REDIS_ADDR", "redis_addr"), "redis:6379")
	c.key = "listenerAddr"
	if !c.legacy {
		c.redis = orElse(env("REDIS_ADDR"), "transport-redis:6379")
		c.key = env("TEST_KEY") + "_listener_multiaddr"
	}
	c.ip = orElse(name("LISTENER_IP", "ip"), "0.0.0.0")
	seconds := orElse(name("TEST_TIMEOUT_SECS", "test_timeout_seconds"), env("TEST_TIMEOUT_SECONDS"))
	c.timeout = 180 * time.Second
	if n, err := strconv.Atoi(seconds); err == nil && n > 0 {
		c.timeout = time.Duration(n) * time.Second
	}
	transport := name("TRANSPORT", "transport")
	if transport == "quic-v1" {
		transport = "quic"
	}
	c.options = options{
		transports: list{transport},
		security:   name("SECURE_CHANNEL", "security"),
		muxer:      orElse(name("MUXER", "muxer"), "yamux"),
		keyType:    "ed25519",
	}
	return c, true
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// takePart plays the part and returns the exit status. Stdout carries results
// and nothing else.
func takePart(ctx context.Context, c contract, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, timedOut(c.timeout))
	defer cancel()
	play := c.listen
	if c.dialer {
		play = c.dial
	}
	if err := play(ctx, stdout); err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	return exitDone
}

// listen serves until the test ends, which for a listener is an error.
func (c contract) listen(ctx context.Context, _ io.Writer) error {
	if err := c.options.check(); err != nil {
		return err
	}
	b, err := c.options.serving(c.ip, 0)
	if err != nil {
		return err
	}
	n, err := b.start(ctx)
	if err != nil {
		return err
	}
	defer n.Close()
	addr, err := n.routable()
	if err != nil {
		return err
	}
	r, err := dialRedis(ctx, c.redis)
	if err != nil {
		return err
	}
	defer r.Close()
	if !c.legacy {
		if _, err := r.do(ctx, "DEL", c.key); err != nil {
			return err
		}
	}
	if _, err := r.do(ctx, "RPUSH", c.key, addr); err != nil {
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// routable returns an address that other machines can dial, if there is one.
func (n *node) routable() (string, error) {
	addrs := n.Addrs()
	if len(addrs) == 0 {
		return "", errors.New("no address to be reached at")
	}
	best := addrs[0]
	for _, a := range addrs {
		if !peer.IsLoopback(a) && (peer.IsLoopback(best) || is4(a) && !is4(best)) {
			best = a
		}
	}
	return peer.JoinAddr(best, n.ID()).String(), nil
}

func is4(a ma.Multiaddr) bool {
	ip, ok := peer.IP(a)
	return ok && ip.Is4()
}

// dial connects to the listener, pings it twice and prints the figures.
func (c contract) dial(ctx context.Context, stdout io.Writer) error {
	if err := c.options.check(); err != nil {
		return err
	}
	r, err := dialRedis(ctx, c.redis)
	if err != nil {
		return err
	}
	defer r.Close()
	text, err := r.blpop(ctx, c.key)
	if err != nil {
		return err
	}
	target, err := parseTarget(strings.TrimSpace(text))
	if err != nil {
		return err
	}
	b, err := c.options.blueprint()
	if err != nil {
		return err
	}
	if b.transports, err = c.options.namedTransports(); err != nil {
		return err
	}
	n, err := b.start(ctx)
	if err != nil {
		return err
	}
	defer n.Close()
	both, one, err := n.measure(ctx, target)
	if err != nil {
		return err
	}
	return c.print(stdout, both, one)
}

// measure returns the time from the dial's start to the end of the first ping,
// and that of one more ping.
func (n *node) measure(ctx context.Context, target peer.AddrInfo) (both, one time.Duration, err error) {
	start := time.Now()
	conn, err := n.Connect(ctx, target)
	if err != nil {
		return 0, 0, err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	stream, err := conn.NewStream(ctx, pingID)
	if err != nil {
		return 0, 0, err
	}
	defer stream.Reset(core.StreamNoError)
	if _, err := pingOnce(stream); err != nil {
		return 0, 0, fmt.Errorf("ping: %w", err)
	}
	both = time.Since(start)
	if one, err = pingOnce(stream); err != nil {
		return 0, 0, fmt.Errorf("ping: %w", err)
	}
	return both, one, stream.Close()
}

// print writes the result in the form that the suite reads. The suites prescribe
// the names, spelling included.
func (c contract) print(w io.Writer, both, one time.Duration) error {
	var err error
	if c.legacy {
		err = json.NewEncoder(w).Encode(struct {
			Both float64 `json:"handshakePlusOneRTTMillis"`
			One  float64 `json:"pingRTTMilllis"`
		}{millis(both), millis(one)})
	} else {
		_, err = fmt.Fprintf(w, "latency:\n  handshake_plus_one_rtt: %.3f\n  ping_rtt: %.3f\n  unit: ms\n", millis(both), millis(one))
	}
	return err
}
