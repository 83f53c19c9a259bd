// SPDX-License-Identifier: Apache-2.0 OR MIT

package evil

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// Header is the first line of multistream-select.
	Header = "/multistream/1.0.0"
	// NoiseID and YamuxID are what is negotiated with it.
	NoiseID = "/noise"
	YamuxID = "/yamux/1.0.0"
	// maxLine bounds the lines of the victim, in bytes.
	maxLine = 1024
)

// Attacker is who runs an attack. Its methods fail the test if the victim does
// not play along where it should.
type Attacker struct {
	testing.TB
	Victim Victim

	keys atomic.Uint64
}

// Conn is a connection of an attacker, at the layer it has come to.
type Conn struct {
	a   *Attacker
	raw manet.Conn
	r   *bufio.Reader
	w   io.Writer

	// ID is who the victim takes the attacker for, once that is known.
	ID peer.ID
}

// Raw connects and says nothing.
func (a *Attacker) Raw() *Conn {
	a.Helper()
	raw, err := a.Victim.Dial(a.Context())
	if err != nil {
		a.Fatalf("dial the victim: %v", err)
	}
	return a.Take(raw)
}

// Take goes on with a connection that was made in another way.
func (a *Attacker) Take(raw manet.Conn) *Conn {
	return &Conn{a: a, raw: raw, r: bufio.NewReader(raw), w: raw}
}

// Secured connects and comes as far as the end of the Noise handshake; muxers
// are offered in it.
func (a *Attacker) Secured(muxers ...string) *Conn {
	a.Helper()
	c := a.Raw()
	c.Propose(NoiseID)
	if err := c.Noise(a.Key(), muxers...); err != nil {
		a.Fatalf("Noise: %v", err)
	}
	return c
}

// Muxed connects and comes as far as yamux.
func (a *Attacker) Muxed() *Conn {
	a.Helper()
	return a.Secured(YamuxID)
}

// Key returns a key that no other connection of the attacker has.
func (a *Attacker) Key() peer.PrivateKey {
	var seed [32]byte
	copy(seed[:], "evil")
	seed[30], seed[31] = byte(a.keys.Load()>>8), byte(a.keys.Load())
	a.keys.Add(1)
	return peer.Ed25519FromSeed(seed)
}

// Send writes bytes at the layer of the connection. The victim may have closed
// it: that is no failure.
func (c *Conn) Send(b []byte) error {
	_, err := c.w.Write(b)
	return err
}

// Line sends a line of multistream-select.
func (c *Conn) Line(text string) error { return c.Send(Line(text)) }

// Line is a line of multistream-select.
func Line(text string) []byte {
	b := wire.AppendUvarint(nil, uint64(len(text)+1))
	return append(append(b, text...), '\n')
}

// ReadLine reads a line of multistream-select.
func (c *Conn) ReadLine() (string, error) {
	b, err := wire.ReadMessage(c.r, maxLine)
	if err != nil {
		return "", err
	}
	text, ok := bytes.CutSuffix(b, []byte{'\n'})
	if !ok {
		return "", fmt.Errorf("line without newline: %q", b)
	}
	return string(text), nil
}

// Propose negotiates a protocol.
func (c *Conn) Propose(protocol string) {
	c.a.Helper()
	c.Send(append(Line(Header), Line(protocol)...))
	for _, want := range []string{Header, protocol} {
		if got, err := c.ReadLine(); err != nil || got != want {
			c.a.Fatalf("negotiate %s: %q, %v; want %q", protocol, got, err, want)
		}
	}
}

// WantClosed reads until the victim has closed the connection, and fails the
// test if it does not.
func (c *Conn) WantClosed() {
	c.a.Helper()
	c.raw.SetReadDeadline(time.Now().Add(2 * patience))
	if _, err := io.Copy(io.Discard, c.raw); isTimeout(err) {
		c.a.Errorf("the victim has not closed the connection: %v", err)
	}
	c.Close()
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// Close closes the connection.
func (c *Conn) Close() { c.raw.Close() }

// Unsealed writes bytes on the socket, whatever the layer of the connection.
func (c *Conn) Unsealed(b []byte) error {
	_, err := c.raw.Write(b)
	return err
}
