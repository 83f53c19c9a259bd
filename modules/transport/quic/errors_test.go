// SPDX-License-Identifier: Apache-2.0 OR MIT

package quic

import (
	"errors"
	"net"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	quicgo "github.com/quic-go/quic-go"

	"github.com/xnode-p2p/xnode/core"
)

func TestEnded(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want core.ConnError
		text string
	}{
		"closed with a code": {
			&quicgo.ApplicationError{ErrorCode: 0x1006, Remote: true, ErrorMessage: "words of the remote"},
			core.ConnError{Code: core.ConnShutdown, Remote: true},
			"connection closed by the remote, code 0x1006",
		},
		"code out of range": {
			&quicgo.ApplicationError{ErrorCode: 1 << 40},
			core.ConnError{Code: 1<<32 - 1},
			"connection closed locally, code 0xffffffff",
		},
		"TLS alert": {
			&quicgo.TransportError{ErrorCode: 0x100 + 42, Remote: true, ErrorMessage: "words of the remote"},
			core.ConnError{Remote: true},
			"connection closed by the remote: the remote says: tls: bad certificate",
		},
		"violation": {
			&quicgo.TransportError{ErrorCode: quicgo.ProtocolViolation, Remote: true, ErrorMessage: "words"},
			core.ConnError{Remote: true},
			"connection closed by the remote: the remote says: PROTOCOL_VIOLATION",
		},
		"idle":            {&quicgo.IdleTimeoutError{}, core.ConnError{}, "connection closed locally: the remote gives no sign of life"},
		"stateless reset": {&quicgo.StatelessResetError{}, core.ConnError{Remote: true}, "connection closed by the remote: the remote does not know the connection any more"},
		"socket closed":   {quicgo.ErrTransportClosed, core.ConnError{}, "connection closed locally: quic: transport closed"},
	} {
		err := ended(tc.err)
		got, ok := errors.AsType[*core.ConnError](err)
		if !ok || got.Code != tc.want.Code || got.Remote != tc.want.Remote {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
		if diff := cmp.Diff(tc.text, err.Error()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			t.Errorf("%s: the end of a connection is a timeout, after which one may go on", name)
		}
	}
}

func TestDialError(t *testing.T) {
	mismatch := &core.PeerMismatchError{Want: "a", Got: "b"}
	for name, tc := range map[string]struct {
		err     error
		text    string
		timeout bool
	}{
		"refused":   {&quicgo.TransportError{ErrorCode: quicgo.ConnectionRefused, Remote: true}, "refused by the remote", false},
		"alert":     {&quicgo.TransportError{ErrorCode: 0x100 + 120, Remote: true}, "the remote says: tls: no application protocol", false},
		"idle":      {&quicgo.IdleTimeoutError{}, "no answer: i/o timeout", true},
		"handshake": {&quicgo.HandshakeTimeoutError{}, "no answer: i/o timeout", true},
		"mismatch":  {mismatch, mismatch.Error(), false},
		"deadline":  {os.ErrDeadlineExceeded, "i/o timeout", true},
		"closed":    {&quicgo.ApplicationError{ErrorCode: 0x1001, Remote: true}, "connection closed by the remote, code 0x1001", false},
	} {
		err := dialError(tc.err)
		if err.Error() != tc.text {
			t.Errorf("%s: %q, want %q", name, err, tc.text)
		}
		if e, ok := errors.AsType[net.Error](err); (ok && e.Timeout()) != tc.timeout {
			t.Errorf("%s: %v, timeout %v", name, err, !tc.timeout)
		}
	}
}
