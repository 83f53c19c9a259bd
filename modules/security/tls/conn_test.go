// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// tally counts writes.
type tally struct {
	*memnet.Conn
	mu     sync.Mutex
	writes int
}

func (c *tally) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.writes++
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// TestRecordsAreGathered counts the writes that a Write takes, and those of the
// handshake.
func TestRecordsAreGathered(t *testing.T) {
	x, y := memnet.Pipe()
	cx, cy := &tally{Conn: x}, &tally{Conn: y}
	client, server := pair(t, cx, cy, core.Handshake{Identity: ourselves}, core.Handshake{Identity: stranger})
	if cx.writes != 2 || cy.writes != 1 {
		t.Errorf("the handshake takes %d writes of the client, %d of the server; want 2, 1", cx.writes, cy.writes)
	}
	for _, tc := range []struct{ size, writes int }{
		{1, 1},
		{maxPlaintext, 1},
		{maxPlaintext + 1, 1},
		{64 << 10, 1},
		{64<<10 + 12, 1},
		{128 << 10, 2},
		{1 << 20, 16},
	} {
		before := cx.writes
		sent := bytes.Repeat([]byte{byte(tc.size)}, tc.size)
		got := make([]byte, tc.size)
		var wg sync.WaitGroup
		wg.Go(func() {
			if n, err := client.Write(sent); n != tc.size || err != nil {
				t.Errorf("wrote %d of %d bytes: %v", n, tc.size, err)
			}
		})
		if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes: %v", tc.size, err)
		}
		wg.Wait()
		if n := cx.writes - before; n != tc.writes {
			t.Errorf("%d bytes take %d writes, want %d", tc.size, n, tc.writes)
		}
	}
	if n, err := client.Write(nil); n != 0 || err != nil {
		t.Errorf("writing nothing: %d, %v", n, err)
	}
	if n, err := client.Read(nil); n != 0 || err != nil {
		t.Errorf("reading nothing: %d, %v", n, err)
	}
}

// TestWriteErrorIsFinal has a deadline come within a Write: what was cut off
// cannot be continued.
func TestWriteErrorIsFinal(t *testing.T) {
	for _, size := range []int{1000, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			x, y := memnet.Pipe()
			client, _ := pair(t, x, y, core.Handshake{Identity: ourselves}, core.Handshake{Identity: stranger})
			if err := client.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			var err error
			for err == nil {
				_, err = client.Write(make([]byte, size))
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v, want a timeout", err)
			}
			if err := client.SetWriteDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Write(make([]byte, size)); err == nil {
				t.Error("written after a timeout")
			}
			y.Close()
			if _, err := client.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("read: %v", err)
			}
		})
	}
}

// odd is a connection whose deadlines end with an error that is no [net.Error].
type odd struct{ net.Conn }

func (c odd) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.Join(err)
	}
	return n, err
}

// TestReadsAfterDeadline goes on after a deadline, whatever its error looks like.
func TestReadsAfterDeadline(t *testing.T) {
	x, y := memnet.Pipe()
	client, server := pair(t, odd{x}, odd{y}, core.Handshake{Identity: ourselves}, core.Handshake{Identity: stranger})
	if err := server.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := server.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%v, want a timeout", err)
	}
	if err := server.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestRemoteIsTold has a connection closed: the remote reads io.EOF, and from one
// that is cut off within a record an error.
func TestRemoteIsTold(t *testing.T) {
	x, y := memnet.Pipe()
	cx := &tally{Conn: x}
	client, server := pair(t, cx, y, core.Handshake{Identity: ourselves}, core.Handshake{Identity: stranger})
	before := cx.writes
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if cx.writes != before+1 {
		t.Errorf("%d writes, want one", cx.writes-before)
	}
	if n, err := server.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := client.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
}
