// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	flynn "github.com/flynn/noise"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// self is the identity of a side of a test.
type self struct{ key peer.PrivateKey }

func newSelf(t testing.TB, kind peer.KeyType) self {
	t.Helper()
	key, err := peer.GenerateKey(kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	return self{key}
}

func (s self) ID() peer.ID                      { return peer.FromPublicKey(s.key.Public()) }
func (s self) PublicKey() peer.PublicKey        { return s.key.Public() }
func (s self) Sign(data []byte) ([]byte, error) { return s.key.Sign(data) }

// side is one end of a handshake.
type side struct {
	noise   *Noise
	h       core.Handshake
	options Options
}

func (s side) run(ctx context.Context, conn net.Conn) (*Conn, error) {
	n := s.noise
	if n == nil {
		n = new(Noise)
	}
	return n.Handshake(ctx, conn, s.h, s.options)
}

// meet lets two sides shake hands over the two ends of a connection. The end of
// a side that fails is closed, as its owner would do.
func meet(t testing.TB, a, b net.Conn, initiator, responder side) (i, r *Conn, ierr, rerr error) {
	t.Helper()
	initiator.h.Initiator = true
	var wg sync.WaitGroup
	wg.Go(func() {
		if r, rerr = responder.run(context.Background(), b); rerr != nil {
			_ = b.Close()
		}
	})
	if i, ierr = initiator.run(context.Background(), a); ierr != nil {
		_ = a.Close()
	}
	wg.Wait()
	return i, r, ierr, rerr
}

// secured returns the two ends of a connection on which the handshake is done.
func secured(t testing.TB, a, b net.Conn) (i, r *Conn) {
	t.Helper()
	i, r, ierr, rerr := meet(t, a, b,
		side{h: core.Handshake{Identity: newSelf(t, peer.Ed25519)}},
		side{h: core.Handshake{Identity: newSelf(t, peer.Ed25519)}})
	if ierr != nil || rerr != nil {
		t.Fatalf("initiator: %v; responder: %v", ierr, rerr)
	}
	t.Cleanup(func() {
		_ = i.Close()
		_ = r.Close()
	})
	return i, r
}

// tcpPair returns the two ends of a connection over loopback.
func tcpPair(t testing.TB) (net.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.Close()
		_ = b.Close()
	})
	return a, b
}

// stranger speaks Noise with the library's own Diffie-Hellman, and says with it
// whatever a test wants.
type stranger struct {
	conn    net.Conn
	static  flynn.DHKey
	state   *flynn.HandshakeState
	inbound []byte // the payload of the other side
}

func newStranger(t testing.TB, conn net.Conn, initiator bool) *stranger {
	t.Helper()
	suite := flynn.NewCipherSuite(flynn.DH25519, flynn.CipherChaChaPoly, flynn.HashSHA256)
	static, err := suite.GenerateKeypair(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &stranger{conn: conn, static: static}
	s.state, err = flynn.NewHandshakeState(flynn.Config{
		CipherSuite: suite, Pattern: flynn.HandshakeXX, Initiator: initiator, StaticKeypair: static,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// claim is an honest payload.
func (s *stranger) claim(t testing.TB, who self, muxers ...string) []byte {
	t.Helper()
	b, err := prove(who, s.static.Public)
	if err != nil {
		t.Fatal(err)
	}
	return appendExtensions(b, nil, muxers)
}

// run does the handshake with the given payload and returns the states for
// sending and receiving.
func (s *stranger) run(initiator bool, payload []byte) (send, receive *flynn.CipherState, err error) {
	if initiator {
		if _, _, err := s.write(nil); err != nil {
			return nil, nil, err
		}
		if _, _, err := s.read(); err != nil {
			return nil, nil, err
		}
		return s.write(payload)
	}
	if _, _, err := s.read(); err != nil {
		return nil, nil, err
	}
	if _, _, err := s.write(payload); err != nil {
		return nil, nil, err
	}
	receive, send, err = s.read()
	return send, receive, err
}

func (s *stranger) write(payload []byte) (*flynn.CipherState, *flynn.CipherState, error) {
	message, a, b, err := s.state.WriteMessage(nil, payload)
	if err != nil {
		return nil, nil, err
	}
	return a, b, writeFrame(s.conn, message)
}

func (s *stranger) read() (*flynn.CipherState, *flynn.CipherState, error) {
	message, err := readFrame(s.conn)
	if err != nil {
		return nil, nil, err
	}
	payload, a, b, err := s.state.ReadMessage(nil, message)
	s.inbound = payload
	return a, b, err
}

func writeFrame(w io.Writer, body []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(body))), body...))
	return err
}

func readFrame(r io.Reader) ([]byte, error) {
	var header [2]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint16(header[:]))
	_, err := io.ReadFull(r, body)
	return body, err
}
