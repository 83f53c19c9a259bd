// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build linux

package standard_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
	"github.com/pion/sctp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/modules/security/noise"
)

// association is a connection over webrtc-direct whose data channels an attacker
// has in hand.
type association struct {
	socket *net.UDPConn
	dtls   *dtls.Conn
	sctp   *sctp.Association
	hashes []byte // of both certificates
	next   uint16 // channel
}

// associate comes as far as the data channels, as the i-th attacker.
func associate(t *testing.T, i int, to net.Addr) *association {
	t.Helper()
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	a := &association{socket: attackerSocket(t, i), next: 2}
	ask(t, a.socket, to, binding(rand.Text()))
	own := newForgery(t).make()
	var err error
	if a.dtls, err = dtls.ClientWithOptions(a.socket, to, dtls.WithCertificates(*own),
		dtls.WithInsecureSkipVerify(true), dtls.WithLoggerFactory(quiet)); err != nil {
		t.Fatal(err)
	}
	if err := a.dtls.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a.sctp, err = sctp.ClientContext(t.Context(), sctp.WithNetConn(a.dtls), sctp.WithLoggerFactory(quiet)); err != nil {
		t.Fatal(err)
	}
	state, _ := a.dtls.ConnectionState()
	for _, der := range [][]byte{own.Certificate[0], state.PeerCertificates[0]} {
		sum := sha256.Sum256(der)
		a.hashes = append(append(a.hashes, 0x12, 32), sum[:]...)
	}
	return a
}

func (a *association) Close() {
	a.sctp.Close()
	a.dtls.Close()
	a.socket.Close()
}

// identify proves that the attacker is a peer, on the first channel.
func (a *association) identify(t *testing.T) {
	t.Helper()
	c, err := a.sctp.OpenStream(0, sctp.PayloadTypeWebRTCBinary)
	if err != nil {
		t.Fatal(err)
	}
	prologue := append([]byte("libp2p-webrtc-noise:"), a.hashes...)
	if _, err := new(noise.Noise).Handshake(t.Context(), &channel{Conn: a.dtls, sctp: c},
		core.Handshake{Identity: coretest.NewIdentity(666)}, noise.Options{Prologue: prologue}); err != nil {
		t.Fatal(err)
	}
}

// open opens a channel.
func (a *association) open(t *testing.T) *channel {
	t.Helper()
	c, err := a.sctp.OpenStream(a.next, sctp.PayloadTypeWebRTCBinary)
	if err != nil {
		t.Fatal(err)
	}
	a.next += 2
	if _, err := c.WriteSCTP([]byte{3, 11: 0}, sctp.PayloadTypeWebRTCDCEP); err != nil {
		t.Fatal(err)
	}
	return &channel{Conn: a.dtls, sctp: c}
}

// channel is a data channel with libp2p's frames on it.
type channel struct {
	net.Conn // of all channels, for their addresses
	sctp     *sctp.Stream
	rest     []byte
}

// The flags of frames.
const (
	fin = iota
	stopSending
	reset
	finAck
)

// frame is one with a flag.
func frame(flag uint64) string {
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	return string(protowire.AppendBytes(nil, protowire.AppendVarint(b, flag)))
}

// data is a frame with data.
func data(text string) string {
	b := protowire.AppendTag(nil, 2, protowire.BytesType)
	return string(protowire.AppendBytes(nil, protowire.AppendString(b, text)))
}

// send sends a message as it is.
func (c *channel) send(message string) error {
	_, err := c.sctp.WriteSCTP([]byte(message), sctp.PayloadTypeWebRTCBinary)
	return err
}

func (c *channel) Write(p []byte) (int, error) { return len(p), c.send(data(string(p))) }

// errReset is the end of a channel that the node has reset.
var errReset = errors.New("the channel was reset")

// Read gives out the data of frames.
func (c *channel) Read(p []byte) (int, error) {
	message := make([]byte, 1<<16)
	for len(c.rest) == 0 {
		n, kind, err := c.sctp.ReadSCTP(message)
		if err != nil {
			return 0, err
		}
		if kind == sctp.PayloadTypeWebRTCDCEP {
			continue
		}
		body, size := binary.Uvarint(message[:n])
		if size <= 0 || int(body) != n-size {
			return 0, fmt.Errorf("a message of %d bytes begins with %x", n, message[:min(n, 8)])
		}
		for b := message[size:n]; len(b) > 0; {
			field, kind, n := protowire.ConsumeTag(b)
			b = b[max(n, 0):]
			switch {
			case field == 1 && kind == protowire.VarintType:
				flag, n := protowire.ConsumeVarint(b)
				if flag == reset {
					return 0, errReset
				}
				b = b[max(n, 0):]
			case field == 2 && kind == protowire.BytesType:
				text, n := protowire.ConsumeBytes(b)
				c.rest = text
				b = b[max(n, 0):]
			default:
				if n = protowire.ConsumeFieldValue(field, kind, b); n < 0 {
					return 0, protowire.ParseError(n)
				}
				b = b[n:]
			}
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// speaks has something echoed on a channel.
func (c *channel) speaks(t *testing.T) error {
	if err := negotiates(echoProtocol)(t, c); err != nil {
		return err
	}
	if err := c.send(data("hello")); err != nil {
		return err
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		return fmt.Errorf("%q comes back, %w", got, err)
	}
	return nil
}

// Frames that are too large, that are none, and that come when their time is over
// end their channel at most. The other channels of the attacker work, and so do
// all other connections.
func TestEvil_Q10_Frames(t *testing.T) {
	s := newSite(t, roomy)
	s.siege(t, func() {
		a := associate(t, 1, s.udp())
		defer a.Close()
		a.identify(t)
		for name, tc := range map[string]struct {
			messages []string
			resets   bool
		}{
			"over size":        {[]string{data(strings.Repeat("x", 16<<10))}, true},
			"far over size":    {[]string{data(strings.Repeat("x", 60000))}, true},
			"no frame":         {[]string{strings.Repeat("\xff", 20)}, true},
			"a group":          {[]string{"\x02\x0b\x0c"}, true},
			"data after fin":   {[]string{frame(fin), data("x"), data("x")}, false},
			"fin twice":        {[]string{frame(fin), frame(fin)}, false},
			"ack of nothing":   {[]string{frame(finAck), frame(finAck), frame(fin)}, false},
			"reset, then data": {[]string{frame(reset), data("x"), frame(fin), frame(finAck)}, false},
			"stop after reset": {[]string{frame(reset), frame(stopSending), frame(reset)}, false},
			"all at once":      {[]string{frame(stopSending) + frame(fin) + frame(reset) + frame(finAck)}, false},
		} {
			before, c := a.open(t), a.open(t)
			for _, m := range tc.messages {
				if err := c.send(m); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			if _, err := io.Copy(io.Discard, onlyReader{c}); tc.resets && err != errReset {
				t.Errorf("%s: %v, want a reset", name, err)
			}
			for _, other := range []*channel{before, a.open(t)} {
				if err := other.speaks(t); err != nil {
					t.Errorf("%s: another channel: %v", name, err)
				}
			}
		}
		s.visit(t)
	})
}

type onlyReader struct{ io.Reader }

// Attackers come as far as the data channels by the dozen, and no further.
func TestEvil_A9_Q10_NoPeer(t *testing.T) {
	const count = 40
	s := newSite(t, roomy)
	s.siege(t, func() {
		for i := range count {
			defer associate(t, i, s.udp()).Close()
		}
		s.visit(t)
	})
}
