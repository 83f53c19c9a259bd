// SPDX-License-Identifier: Apache-2.0 OR MIT

package plaintext

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/wire"
)

func TestConfigs(t *testing.T) {
	coretest.TestConfigs[core.Security](t, "plaintext", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "muxers", JSON: `{"muxers": ["/y"]}`, WantErr: "muxers"},
		{Name: "key", JSON: `{"key": "x"}`, WantErr: "key"},
		{Name: "not an object", JSON: `true`, WantErr: "plaintext"},
	})
}

func TestSecurity(t *testing.T) {
	module := coretest.MustLoad[core.Security](t, "plaintext", `{}`).(core.SecureChannel)
	coretest.TestSecurity(t, module, coretest.SecurityOptions{Plaintext: true})
}

// TestWarns reads what a user is told.
func TestWarns(t *testing.T) {
	var log bytes.Buffer
	warn(slog.New(slog.NewTextHandler(&log, nil)))
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "WARN") || !strings.Contains(got, "neither encrypted nor authenticated") {
		t.Errorf("%q, want one warning", got)
	}
}

// golden is the first message of coretest.NewIdentity(1): its length, the ID, which is an
// identity multihash, and the key.
const golden = "4e0a26002408011220fa93b15f0450425e1bde58fa76a3c7b1038fc8b02864bcf9fbba6d1e268af657122408011220fa93b15f0450425e1bde58fa76a3c7b1038fc8b02864bcf9fbba6d1e268af657"

// TestBytes looks at what crosses the wire: one message each way, and what follows
// as it is.
func TestBytes(t *testing.T) {
	x, y := memnet.Pipe()
	defer x.Close()
	defer y.Close()
	if err := wire.WriteMessage(y, encodeExchange(coretest.NewIdentity(2).PublicKey())); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(y, "and so on"); err != nil {
		t.Fatal(err)
	}
	c, err := new(Plaintext).Secure(t.Context(), x, core.Handshake{Identity: coretest.NewIdentity(1), Initiator: true, Muxers: []string{"/yamux/1.0.0"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.RemotePeer() != coretest.NewIdentity(2).ID() || c.Muxer() != "" {
		t.Errorf("remote %s, muxer %q", c.RemotePeer(), c.Muxer())
	}
	got := make([]byte, len(golden)/2)
	if _, err := io.ReadFull(y, got); err != nil || hex.EncodeToString(got) != golden {
		t.Errorf("sent %x, want %s (%v)", got, golden, err)
	}
	rest := make([]byte, len("and so on"))
	if _, err := io.ReadFull(c, rest); err != nil || string(rest) != "and so on" {
		t.Errorf("read %q, %v", rest, err)
	}
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(y, rest[:5]); err != nil || string(rest[:5]) != "hello" {
		t.Errorf("the other side read %q, %v", rest[:5], err)
	}
}

func TestEvil_A6_OtherPeer(t *testing.T) {
	x, y := memnet.Pipe()
	defer x.Close()
	defer y.Close()
	got, want := coretest.NewIdentity(2), coretest.NewIdentity(3).ID()
	if err := wire.WriteMessage(y, encodeExchange(got.PublicKey())); err != nil {
		t.Fatal(err)
	}
	_, err := new(Plaintext).Secure(t.Context(), x, core.Handshake{Identity: coretest.NewIdentity(1), Initiator: true, Expect: want})
	mismatch, ok := errors.AsType[*core.PeerMismatchError](err)
	if !ok || mismatch.Want != want || mismatch.Got != got.ID() {
		t.Errorf("%v", err)
	}
}

// TestEvil_B2_LongMessage announces more than an Exchange can have.
func TestEvil_B2_LongMessage(t *testing.T) {
	for _, prefix := range []string{"\x81\x10", "\xff\xff\xff\x7f", "\xff\xff\xff\xff\xff\xff\xff\xff\x7f"} {
		x, y := memnet.Pipe()
		if _, err := io.WriteString(y, prefix); err != nil {
			t.Fatal(err)
		}
		_, err := new(Plaintext).Secure(t.Context(), x, core.Handshake{Identity: coretest.NewIdentity(1)})
		if !errors.Is(err, wire.ErrTooLarge) {
			t.Errorf("%x: %v", prefix, err)
		}
		x.Close()
		y.Close()
	}
}

// BenchmarkSecure is both sides of a handshake.
func BenchmarkSecure(b *testing.B) {
	b.ReportAllocs()
	one, two := coretest.NewIdentity(1), coretest.NewIdentity(2)
	hello := encodeExchange(two.PublicKey())
	for b.Loop() {
		x, y := memnet.Pipe()
		if err := wire.WriteMessage(y, hello); err != nil {
			b.Fatal(err)
		}
		if _, err := new(Plaintext).Secure(b.Context(), x, core.Handshake{Identity: one, Expect: two.ID()}); err != nil {
			b.Fatal(err)
		}
	}
}
