// SPDX-License-Identifier: Apache-2.0 OR MIT

package core_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"sync"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// somebody is the peer of the Ed25519 key whose seed is n.
func somebody(n byte) peer.ID {
	return peer.FromPublicKey(peer.Ed25519FromSeed([32]byte{n}).Public())
}

// story is a record with every outcome.
func story() *core.DialRecord {
	return &core.DialRecord{
		Peer:     somebody(1),
		Started:  time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC),
		Took:     time.Second,
		Resolved: []core.DialResolution{{Addr: ma.StringCast("/dns4/x.example/tcp/1"), Err: errors.New("no such host")}, {Addr: ma.StringCast("/dns6/y.example/tcp/1")}},
		Attempts: []core.DialAttempt{
			{Addr: ma.StringCast("/ip4/10.0.0.1/tcp/1"), Outcome: core.DialSkipped, Err: core.ErrBackoff},
			{Addr: ma.StringCast("/ip4/1.2.3.4/tcp/1"), Outcome: core.DialFailed, Err: fmt.Errorf("tcp: %w", &net.OpError{Op: "dial", Net: "tcp", Err: fs.ErrPermission})},
			{Addr: ma.StringCast("/ip4/1.2.3.4/tcp/2"), Outcome: core.DialFailed, Err: &core.PeerMismatchError{Want: somebody(1), Got: somebody(2)}},
			{Addr: ma.StringCast("/ip4/1.2.3.4/tcp/3"), Outcome: core.DialCancelled},
		},
	}
}

func TestDialErrorText(t *testing.T) {
	id := somebody(1).String()
	for _, tc := range []struct {
		err  *core.DialError
		want string
	}{
		{&core.DialError{Record: &core.DialRecord{Peer: somebody(1)}}, "dial " + id},
		{&core.DialError{Record: &core.DialRecord{Peer: somebody(1)}, Cause: core.ErrNoAddrs}, "dial " + id + ": no addresses known"},
		{
			&core.DialError{Record: story(), Cause: context.DeadlineExceeded},
			"dial " + id + ": context deadline exceeded" +
				"; /ip4/10.0.0.1/tcp/1 skipped: failed lately, and it is not yet time to try again" +
				"; /ip4/1.2.3.4/tcp/1 failed: tcp: dial tcp: permission denied" +
				"; /ip4/1.2.3.4/tcp/2 failed: wrong peer: want " + somebody(1).String() + ", got " + somebody(2).String() +
				"; /dns4/x.example/tcp/1 not resolved: no such host",
		},
	} {
		if got := tc.err.Error(); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

func TestDialErrorUnwrap(t *testing.T) {
	var err error = fmt.Errorf("connect: %w", &core.DialError{Record: story(), Cause: context.DeadlineExceeded})
	for _, target := range []error{core.ErrBackoff, fs.ErrPermission, context.DeadlineExceeded} {
		if !errors.Is(err, target) {
			t.Errorf("is not %v", target)
		}
	}
	if errors.Is(err, core.ErrNoAddrs) || errors.Is(err, context.Canceled) {
		t.Error("is what did not happen")
	}
	var mismatch *core.PeerMismatchError
	if !errors.As(err, &mismatch) || mismatch.Got != somebody(2) {
		t.Errorf("mismatch: %v", mismatch)
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Net != "tcp" {
		t.Errorf("operation: %v", op)
	}
	if errors.Is(&core.DialError{Record: new(core.DialRecord)}, core.ErrNoAddrs) {
		t.Error("an empty record is something")
	}
}

func TestTraceDial(t *testing.T) {
	if core.DialTraceOf(t.Context()) != nil {
		t.Error("a trace without TraceDial")
	}
	ctx, trace := core.TraceDial(t.Context())
	if core.DialTraceOf(ctx) != trace || trace.Record() != nil {
		t.Error("the trace is not the context's, or not empty")
	}
	inner, second := core.TraceDial(ctx)
	if core.DialTraceOf(inner) != second || core.DialTraceOf(ctx) != trace {
		t.Error("traces are mixed up")
	}
	var wg sync.WaitGroup
	records := []*core.DialRecord{story(), story()}
	for _, r := range records {
		wg.Go(func() { trace.Set(r) })
		wg.Go(func() { trace.Record() })
	}
	wg.Wait()
	if r := trace.Record(); r != records[0] && r != records[1] {
		t.Error("the record is lost")
	}
}
