// SPDX-License-Identifier: Apache-2.0 OR MIT

package deadline

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core/memnet"
)

var errGivenUp = errors.New("given up")

// set is a connection that counts how often its deadline is set. The times
// after the first fail, if it is told so.
type set struct {
	net.Conn
	times int
	stuck error
}

func (s *set) SetDeadline(t time.Time) error {
	if s.times++; s.times > 1 && s.stuck != nil {
		return s.stuck
	}
	return s.Conn.SetDeadline(t)
}

// pipe returns a connection to which nobody says anything.
func pipe(t *testing.T) *set {
	local, remote := memnet.Pipe()
	t.Cleanup(func() { local.Close(); remote.Close() })
	return &set{Conn: local}
}

func TestContextEndsReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := pipe(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errGivenUp) })
		start := time.Now()
		err := Within(ctx, conn, func() error {
			_, err := conn.Read(make([]byte, 1))
			return err
		})
		if !errors.Is(err, errGivenUp) || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		// The connection is as good as before.
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Errorf("the next read: %v after %v", err, time.Since(start))
		}
	})
}

func TestContextThatLasts(t *testing.T) {
	for name, want := range map[string]error{"well": nil, "badly": errGivenUp} {
		conn := pipe(t)
		if err := Within(t.Context(), conn, func() error { return want }); err != want {
			t.Errorf("%s: %v", name, err)
		}
		if conn.times != 0 {
			t.Errorf("%s: the deadline of the caller is gone", name)
		}
	}
}

func TestContextThatEnded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errGivenUp)
	if err := Within(ctx, pipe(t), func() error { t.Error("runs"); return nil }); err != errGivenUp {
		t.Error(err)
	}
}

// The context ends while what is left to do needs the connection no more.
func TestEndsBesideTheContext(t *testing.T) {
	for name, stuck := range map[string]error{"": nil, "clear the deadline: given up": errGivenUp} {
		synctest.Test(t, func(t *testing.T) {
			conn := pipe(t)
			conn.stuck = stuck
			ctx, cancel := context.WithCancel(t.Context())
			err := Within(ctx, conn, func() error {
				cancel()
				synctest.Wait()
				return nil
			})
			if !errors.Is(err, stuck) || err != nil && err.Error() != name || conn.times != 2 {
				t.Errorf("%v, the deadline was set %d times", err, conn.times)
			}
		})
	}
}
