// SPDX-License-Identifier: Apache-2.0 OR MIT

package core_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/xnode-p2p/xnode/core"
)

func TestClosedErrors(t *testing.T) {
	cause := fmt.Errorf("read: %w", io.ErrUnexpectedEOF)
	for _, tc := range []struct {
		err      error
		text     string
		is, isnt []error
	}{
		{&core.StreamError{}, "stream reset locally", []error{core.ErrReset, net.ErrClosed}, []error{core.ErrConnClosed, io.EOF}},
		{&core.StreamError{Code: core.StreamGated, Remote: true}, "stream reset by the remote, code 0x1008", []error{core.ErrReset, net.ErrClosed}, []error{core.ErrConnClosed}},
		{
			&core.StreamError{Code: core.StreamShutdown, Cause: &core.ConnError{Remote: true, Cause: cause}},
			"stream reset locally, code 0x1007: connection closed by the remote: read: unexpected EOF",
			[]error{core.ErrReset, core.ErrConnClosed, net.ErrClosed, io.ErrUnexpectedEOF}, []error{io.EOF},
		},
		{&core.ConnError{}, "connection closed locally", []error{core.ErrConnClosed, net.ErrClosed}, []error{core.ErrReset}},
		{&core.ConnError{Code: core.ConnLimitExceeded, Remote: true, Cause: cause}, "connection closed by the remote, code 0x1001: read: unexpected EOF",
			[]error{core.ErrConnClosed, net.ErrClosed, io.ErrUnexpectedEOF}, []error{core.ErrReset, io.EOF}},
	} {
		if got := tc.err.Error(); got != tc.text {
			t.Errorf("got %q, want %q", got, tc.text)
		}
		wrapped := fmt.Errorf("echo: %w", tc.err)
		for _, target := range tc.is {
			if !errors.Is(wrapped, target) {
				t.Errorf("%q is not %q", tc.text, target)
			}
		}
		for _, target := range tc.isnt {
			if errors.Is(wrapped, target) {
				t.Errorf("%q is %q", tc.text, target)
			}
		}
		if closed := new(core.StreamError); errors.As(tc.err, &closed) != (tc.is[0] == core.ErrReset) {
			t.Errorf("%q: not found by its type", tc.text)
		}
		var timeout net.Error
		if errors.As(wrapped, &timeout) && timeout.Timeout() {
			t.Errorf("%q is a timeout", tc.text)
		}
	}
}

// The numbers are those of the libp2p error code registry.
func TestCodes(t *testing.T) {
	for name, pair := range map[string][2]uint32{
		"negotiation failed": {uint32(core.StreamNegotiationFailed), 0x1001},
		"limit exceeded":     {uint32(core.StreamLimitExceeded), 0x1002},
		"rate limited":       {uint32(core.StreamRateLimited), 0x1003},
		"violation":          {uint32(core.StreamProtocolViolation), 0x1004},
		"supplanted":         {uint32(core.StreamSupplanted), 0x1005},
		"garbage collected":  {uint32(core.StreamGarbageCollected), 0x1006},
		"shutdown":           {uint32(core.StreamShutdown), 0x1007},
		"gated":              {uint32(core.StreamGated), 0x1008},
		"conn negotiation":   {uint32(core.ConnNegotiationFailed), 0x1000},
		"conn limit":         {uint32(core.ConnLimitExceeded), 0x1001},
		"conn rate":          {uint32(core.ConnRateLimited), 0x1002},
		"conn violation":     {uint32(core.ConnProtocolViolation), 0x1003},
		"conn supplanted":    {uint32(core.ConnSupplanted), 0x1004},
		"conn collected":     {uint32(core.ConnGarbageCollected), 0x1005},
		"conn shutdown":      {uint32(core.ConnShutdown), 0x1006},
		"conn gated":         {uint32(core.ConnGated), 0x1007},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %#x, want %#x", name, pair[0], pair[1])
		}
	}
}

func TestDirection(t *testing.T) {
	for d, want := range map[core.Direction]string{core.Inbound: "inbound", core.Outbound: "outbound", 0: "unknown", 9: "unknown"} {
		if got := d.String(); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&core.PeerMismatchError{Want: somebody(1), Got: somebody(2)}, "wrong peer: want " + somebody(1).String() + ", got " + somebody(2).String()},
		{&core.ProtocolError{Protocols: []string{"/a/1", "/b/2"}}, "the remote speaks none of /a/1, /b/2"},
		{&core.LimitError{Scope: "system", Resource: "inbound connections", Limit: 8, Knob: "limits.connections"},
			"system: limit of 8 inbound connections reached; raise limits.connections to allow more"},
	} {
		if got := tc.err.Error(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}
