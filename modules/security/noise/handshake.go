// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"

	flynn "github.com/flynn/noise"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// maxHandshakeMessage bounds the messages of the handshake, in bytes. The
// largest key that is accepted, RSA of 8192 bits, makes one of 2.3 KiB.
const maxHandshakeMessage = 8 << 10

// exchange is a handshake under way.
type exchange struct {
	noise   *Noise
	conn    net.Conn
	in      *inbound
	state   *flynn.HandshakeState
	setting core.Handshake
	options Options
	static  *static
}

// remote is what the handshake tells about the other side.
type remote struct {
	*proof
	muxers     []string
	certHashes [][]byte
}

func (n *Noise) handshake(conn net.Conn, h core.Handshake, o Options) (*Conn, error) {
	own, err := n.statics.get(h.Identity)
	if err != nil {
		return nil, err
	}
	dh := &x25519{static: own.key}
	state, err := flynn.NewHandshakeState(flynn.Config{
		CipherSuite:   flynn.NewCipherSuite(dh, flynn.CipherChaChaPoly, flynn.HashSHA256),
		Pattern:       flynn.HandshakeXX,
		Initiator:     h.Initiator,
		Prologue:      o.Prologue,
		StaticKeypair: flynn.DHKey{Private: staticHandle, Public: own.public},
	})
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: conn}
	c.in.init(conn, &n.buffers, maxHandshakeMessage)
	x := &exchange{noise: n, conn: conn, in: &c.in, state: state, setting: h, options: o, static: own}
	if h.Initiator {
		err = x.initiate(c)
	} else {
		err = x.respond(c)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// initiate is the initiator's part of XX: → e; ← e, ee, s, es; → s, se.
func (x *exchange) initiate(c *Conn) error {
	if _, _, err := x.send(1, nil); err != nil {
		return err
	}
	payload, _, _, err := x.receive(2)
	if err != nil {
		return err
	}
	r, err := x.authenticate(payload)
	if err != nil {
		return fmt.Errorf("message 2: %w", err)
	}
	muxer, err := chooseMuxer(x.setting.Muxers, r.muxers, x.setting.Muxers)
	if err != nil {
		return err
	}
	// The agreed muxer alone is what the rule lets an initiator send. It leaves
	// no room for a responder that has its own idea of whose order counts.
	var offer []string
	if muxer != "" {
		offer = []string{muxer}
	}
	out, in, err := x.send(3, x.payload(offer))
	if err != nil {
		return err
	}
	return c.establish(r, muxer, in, out, &x.noise.buffers)
}

// respond is the responder's part of XX.
func (x *exchange) respond(c *Conn) error {
	if _, _, _, err := x.receive(1); err != nil {
		return err
	}
	if _, _, err := x.send(2, x.payload(x.setting.Muxers)); err != nil {
		return err
	}
	payload, in, out, err := x.receive(3)
	if err != nil {
		return err
	}
	r, err := x.authenticate(payload)
	if err != nil {
		return fmt.Errorf("message 3: %w", err)
	}
	muxer, err := chooseMuxer(r.muxers, x.setting.Muxers, x.setting.Muxers)
	if err != nil {
		return err
	}
	return c.establish(r, muxer, in, out, &x.noise.buffers)
}

// chooseMuxer returns the first of the initiator's muxers that the responder has
// too. If one side offers none, or does not know of the negotiation, there is
// no choice and no error; if both do but have none in common, the handshake fails.
func chooseMuxer(initiator, responder, own []string) (string, error) {
	if len(initiator) == 0 || len(responder) == 0 {
		return "", nil
	}
	for _, m := range initiator {
		if slices.Contains(responder, m) {
			return m, nil
		}
	}
	return "", fmt.Errorf("muxer: %w", &core.ProtocolError{Protocols: own})
}

// payload encodes what goes with the static key.
func (x *exchange) payload(muxers []string) []byte {
	return appendExtensions(slices.Clip(x.static.payload), x.options.CertHashes, muxers)
}

// send writes a message of the handshake. After the last one it returns the
// states of the two directions, the sender's first.
func (x *exchange) send(number int, payload []byte) (*flynn.CipherState, *flynn.CipherState, error) {
	message, first, second, err := x.state.WriteMessage(make([]byte, headerSize, 512), payload)
	if err != nil {
		return nil, nil, fmt.Errorf("make message %d: %w", number, err)
	}
	size := len(message) - headerSize
	if size > maxHandshakeMessage {
		return nil, nil, fmt.Errorf("message %d of %d bytes, limit %d", number, size, maxHandshakeMessage)
	}
	binary.BigEndian.PutUint16(message, uint16(size))
	if _, err := x.conn.Write(message); err != nil {
		return nil, nil, fmt.Errorf("send message %d: %w", number, err)
	}
	return first, second, nil
}

// receive reads a message of the handshake and returns its payload. After the
// last one it returns the states of the two directions, the sender's first.
func (x *exchange) receive(number int) ([]byte, *flynn.CipherState, *flynn.CipherState, error) {
	message, err := x.in.frame()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("receive message %d: %w", number, err)
	}
	payload, first, second, err := x.state.ReadMessage(nil, message)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("message %d: %w", number, err)
	}
	return payload, first, second, nil
}

// authenticate finds out who the remote is: the holder of an identity key that
// has signed the static key, whose possession the handshake itself proves.
func (x *exchange) authenticate(b []byte) (remote, error) {
	p, err := decodePayload(b)
	if err != nil {
		return remote{}, err
	}
	who, err := x.noise.verified.check([32]byte(x.state.PeerStatic()), p.identity, p.signature)
	if err != nil {
		return remote{}, err
	}
	if want := x.setting.Expect; want != "" && want != who.id {
		return remote{}, &core.PeerMismatchError{Want: want, Got: who.id}
	}
	return remote{proof: who, muxers: p.muxers, certHashes: p.certHashes}, nil
}

// signedData is what an identity key signs to vouch for a static key.
func signedData(static []byte) []byte {
	return append([]byte("noise-libp2p-static-key:"), static...)
}

// prove makes the fields of the payload that show to whom a static key belongs.
func prove(identity core.Identity, static []byte) ([]byte, error) {
	sig, err := identity.Sign(signedData(static))
	if err != nil {
		return nil, fmt.Errorf("sign the static key: %w", err)
	}
	return appendIdentity(nil, peer.MarshalPublicKey(identity.PublicKey()), sig), nil
}
