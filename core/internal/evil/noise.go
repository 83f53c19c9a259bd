// SPDX-License-Identifier: Apache-2.0 OR MIT

package evil

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"io"
	"sync"

	"github.com/flynn/noise"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/peer"
)

// maxRecord bounds the plaintext of one record, in bytes.
const maxRecord = 65519

// Noise plays the initiator of a Noise handshake with a key, offering muxers in
// it. The connection speaks records afterwards.
func (c *Conn) Noise(key peer.PrivateKey, muxers ...string) error {
	return c.NoiseWith(func(static []byte) ([]byte, error) {
		signature, err := key.Sign(append([]byte("noise-libp2p-static-key:"), static...))
		if err != nil {
			return nil, err
		}
		c.ID = peer.FromPublicKey(key.Public())
		return NoisePayload(peer.MarshalPublicKey(key.Public()), signature, muxers...), nil
	})
}

// NoisePayload is what travels with a static key.
func NoisePayload(key, signature []byte, muxers ...string) []byte {
	b := protowire.AppendTag(nil, 1, protowire.BytesType)
	b = protowire.AppendBytes(b, key)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendBytes(b, signature)
	var inner []byte
	for _, m := range muxers {
		inner = protowire.AppendTag(inner, 2, protowire.BytesType)
		inner = protowire.AppendString(inner, m)
	}
	if inner != nil {
		b = protowire.AppendTag(b, 4, protowire.BytesType)
		b = protowire.AppendBytes(b, inner)
	}
	return b
}

// NoiseWith is Noise with any payload for the static key.
func (c *Conn) NoiseWith(payload func(static []byte) ([]byte, error)) error {
	suite := noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256)
	static, err := suite.GenerateKeypair(rand.Reader)
	if err != nil {
		return err
	}
	state, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: suite, Pattern: noise.HandshakeXX, Initiator: true, StaticKeypair: static,
	})
	if err != nil {
		return err
	}
	first, _, _, err := state.WriteMessage(nil, nil)
	if err != nil {
		return err
	}
	if err := c.Send(Record(first)); err != nil {
		return err
	}
	second, err := c.ReadRecord()
	if err != nil {
		return err
	}
	if _, _, _, err := state.ReadMessage(nil, second); err != nil {
		return err
	}
	p, err := payload(static.Public)
	if err != nil {
		return err
	}
	third, out, in, err := state.WriteMessage(nil, p)
	if err != nil {
		return err
	}
	if err := c.Send(Record(third)); err != nil {
		return err
	}
	c.w = &sealer{w: c.w, out: out}
	c.r = bufio.NewReader(&opener{r: c.r, in: in})
	return nil
}

// Record puts its length in front of a message.
func Record(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

// ReadRecord reads a message with its length in front.
func (c *Conn) ReadRecord() ([]byte, error) { return readRecord(c.r) }

func readRecord(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

// sealer encrypts what is written, a record each write.
type sealer struct {
	mu  sync.Mutex
	w   io.Writer
	out *noise.CipherState
}

func (s *sealer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for rest := p; len(rest) > 0; {
		n := min(len(rest), maxRecord)
		sealed, err := s.out.Encrypt(nil, nil, rest[:n])
		if err != nil {
			return 0, err
		}
		if _, err := s.w.Write(Record(sealed)); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// opener decrypts what is read.
type opener struct {
	r    io.Reader
	in   *noise.CipherState
	rest []byte
}

func (o *opener) Read(p []byte) (int, error) {
	for len(o.rest) == 0 {
		sealed, err := readRecord(o.r)
		if err != nil {
			return 0, err
		}
		if o.rest, err = o.in.Decrypt(nil, nil, sealed); err != nil {
			return 0, err
		}
	}
	n := copy(p, o.rest)
	o.rest = o.rest[n:]
	return n, nil
}
