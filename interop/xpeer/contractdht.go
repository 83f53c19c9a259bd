// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// dhtContract is a part in the DHT suite of unified-testing, as its environment
// describes it: a server leaves its address in Redis; a provider announces
// content at it and puts a record, and says so in Redis; a querier finds both.
type dhtContract struct {
	role  string // bootstrap, provider or querier
	redis string
	key   string // that tells this test from others
}

// dhtContractTime bounds a test, as the suite does.
const dhtContractTime = 180 * time.Second

// dhtContractOf reads the environment. It returns false if that describes no part.
func dhtContractOf(env func(string) string) (dhtContract, bool) {
	c := dhtContract{role: env("ROLE"), redis: orElse(env("REDIS_ADDR"), "transport-redis:6379"), key: env("TEST_KEY")}
	return c, c.role != "" && c.key != ""
}

// What the suite names.
func (c dhtContract) serverKey() string { return c.key + "_bootstrap_addr" }
func (c dhtContract) doneKey() string   { return c.key + "_provider_done" }

// content is what is provided: text, where others have a multihash.
func (c dhtContract) content() []byte   { return []byte("interop-test-key-" + c.key) }
func (c dhtContract) recordKey() string { return "/example/data/" + c.key }

// takePart plays the part and returns the exit status.
func (c dhtContract) takePart(ctx context.Context, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithTimeoutCause(ctx, dhtContractTime, timedOut(dhtContractTime))
	defer cancel()
	err := c.play(ctx)
	if c.role == "querier" {
		if err != nil {
			fmt.Fprintf(stdout, "status: fail\nerror: %v\n", err)
		} else {
			fmt.Fprintln(stdout, "status: pass")
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	return exitDone
}

func (c dhtContract) play(ctx context.Context) error {
	parts := map[string]func(context.Context, *redis, *dht) error{
		"bootstrap": c.bootstrap, "provider": c.provide, "querier": c.query,
	}
	part := parts[c.role]
	if part == nil {
		return fmt.Errorf("ROLE %q: want bootstrap, provider or querier", c.role)
	}
	r, err := dialRedis(ctx, c.redis)
	if err != nil {
		return err
	}
	defer r.Close()
	own, err := netip.ParseAddrPort(r.LocalAddr().String()) // where the others are, too
	if err != nil {
		return err
	}
	o := options{transports: list{"tcp"}, muxer: "yamux", keyType: "ed25519"}
	b, err := o.serving(own.Addr().Unmap().String(), 0)
	if err != nil {
		return err
	}
	b.dht = dhtFlags{mode: "server", prefix: "/ipfs"}
	if c.role == "querier" {
		b.dht.mode = "client"
	}
	n, err := b.start(ctx)
	if err != nil {
		return err
	}
	defer n.Close()
	return part(ctx, r, n.dht(b.dht))
}

// bootstrap serves until the test ends, which for a server is an error.
func (c dhtContract) bootstrap(ctx context.Context, r *redis, d *dht) error {
	addr, err := d.node.routable()
	if err != nil {
		return err
	}
	if _, err := r.do(ctx, "SET", c.serverKey(), addr); err != nil {
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// connect connects to the server, and returns once it is in the routing table.
func (c dhtContract) connect(ctx context.Context, r *redis, d *dht) error {
	text, err := r.await(ctx, c.serverKey())
	if err != nil {
		return err
	}
	target, err := parseTarget(text)
	if err != nil {
		return err
	}
	if _, err := d.node.Connect(ctx, target); err != nil {
		return err
	}
	return d.settle(ctx)
}

// provide is the part of the provider, which then serves until the test ends.
func (c dhtContract) provide(ctx context.Context, r *redis, d *dht) error {
	if err := c.connect(ctx, r, d); err != nil {
		return err
	}
	if err := d.Provide(ctx, c.content()); err != nil {
		return err
	}
	if err := d.PutValue(ctx, c.recordKey(), []byte("hello from xnode")); err != nil {
		return err
	}
	if _, err := r.do(ctx, "SET", c.doneKey(), "done"); err != nil {
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// query finds what the provider left.
func (c dhtContract) query(ctx context.Context, r *redis, d *dht) error {
	if _, err := r.await(ctx, c.doneKey()); err != nil {
		return err
	}
	if err := c.connect(ctx, r, d); err != nil {
		return err
	}
	if err := c.findProvider(ctx, d); err != nil {
		return err
	}
	value, err := d.GetValue(ctx, c.recordKey())
	if err == nil && !bytes.Contains(value, []byte("hello from")) {
		err = fmt.Errorf("the record is %q", value)
	}
	return err
}

// findProvider finds whoever provides the content, within some time: an
// announcement has no answer, and may be taken a moment after it was sent.
func (c dhtContract) findProvider(ctx context.Context, d *dht) (err error) {
	for range 10 {
		for _, err = range d.FindProviders(ctx, c.content(), 1) {
			if err == nil {
				return nil
			}
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err == nil {
		err = errors.New("no provider found")
	}
	return err
}
