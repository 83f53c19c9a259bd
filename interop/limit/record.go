// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bufio"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	maxPlain  = 65519                                // plaintext of the largest record, as in Noise
	maxSealed = maxPlain + chacha20poly1305.Overhead // 65535, the most that two bytes of length can say
	seedSize  = 32                                   // what the client sends first, in the clear
	readAhead = 4 * (2 + maxPlain + 16)              // bytes taken from the socket at once, at most
	nonceSize = chacha20poly1305.NonceSize           // a counter in little endian after four zeros
	lastNonce = ^uint64(0)                           // never used, so that the counter cannot wrap
)

var (
	errShortRecord = errors.New("record shorter than its tag")
	errNonces      = errors.New("no nonces left")
)

// sealedConn carries records of a two-byte length and a ChaCha20-Poly1305 ciphertext. One goroutine
// may read while another writes.
type sealedConn struct {
	duplex
	in    *bufio.Reader
	open  counted
	left  []byte // opened and not yet read
	spare []byte // where a record is opened that the reader's slice has no room for

	seal counted
	out  []byte
}

// counted is an AEAD with the nonce of its next record.
type counted struct {
	aead  cipher.AEAD
	nonce [nonceSize]byte
	count uint64
}

func (c *counted) next() ([]byte, error) {
	if c.count == lastNonce {
		return nil, errNonces
	}
	binary.LittleEndian.PutUint64(c.nonce[nonceSize-8:], c.count)
	c.count++
	return c.nonce[:], nil
}

// sealClient makes the client's end: it sends the seed of both directions' keys.
func sealClient(conn duplex) (*sealedConn, error) {
	var seed [seedSize]byte
	_, _ = rand.Read(seed[:]) // never fails
	if _, err := conn.Write(seed[:]); err != nil {
		return nil, fmt.Errorf("send the seed: %w", err)
	}
	return newSealedConn(conn, seed, "down", "up")
}

// sealServer makes the server's end: it reads the seed.
func sealServer(conn duplex) (*sealedConn, error) {
	var seed [seedSize]byte
	if _, err := io.ReadFull(conn, seed[:]); err != nil {
		return nil, fmt.Errorf("read the seed: %w", err)
	}
	return newSealedConn(conn, seed, "up", "down")
}

func newSealedConn(conn duplex, seed [seedSize]byte, in, out string) (*sealedConn, error) {
	open, err := directionKey(seed, in)
	if err != nil {
		return nil, err
	}
	seal, err := directionKey(seed, out)
	if err != nil {
		return nil, err
	}
	return &sealedConn{
		duplex: conn, in: bufio.NewReaderSize(conn, readAhead), open: counted{aead: open}, seal: counted{aead: seal},
	}, nil
}

func directionKey(seed [seedSize]byte, direction string) (cipher.AEAD, error) {
	key := sha256.Sum256(append(seed[:], direction...))
	return chacha20poly1305.New(key[:])
}

// Write seals p, cut into records where it must be, and sends all of them in one write.
func (c *sealedConn) Write(p []byte) (int, error) {
	c.out = c.out[:0]
	for rest := p; len(rest) > 0; {
		n := min(len(rest), maxPlain)
		nonce, err := c.seal.next()
		if err != nil {
			return 0, err
		}
		c.out = binary.BigEndian.AppendUint16(c.out, uint16(n+chacha20poly1305.Overhead))
		c.out = c.seal.aead.Seal(c.out, nonce, rest[:n], nil)
		rest = rest[n:]
	}
	if _, err := c.duplex.Write(c.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Read opens at most one record, straight into p when p has room for it. The end of the stream is
// that of the connection, and nothing vouches for it.
func (c *sealedConn) Read(p []byte) (int, error) {
	for len(c.left) == 0 {
		sealed, err := c.record()
		if err != nil {
			return 0, err
		}
		nonce, err := c.open.next()
		if err != nil {
			return 0, err
		}
		into := p[:0]
		if len(sealed)-chacha20poly1305.Overhead > len(p) {
			into = c.spare[:0]
		}
		plain, err := c.open.aead.Open(into, nonce, sealed, nil)
		if err != nil {
			return 0, err
		}
		if _, err := c.in.Discard(len(sealed)); err != nil {
			return 0, err
		}
		if len(plain) > len(p) {
			c.spare, c.left = plain, plain
		} else if len(plain) > 0 {
			return len(plain), nil
		}
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

// record returns the ciphertext of the next record, still in the read buffer, its length consumed.
// It is at most maxSealed bytes, which the buffer always has room for.
func (c *sealedConn) record() ([]byte, error) {
	head, err := c.in.Peek(2)
	if err != nil {
		if len(head) > 0 && err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	size := int(binary.BigEndian.Uint16(head))
	if size < chacha20poly1305.Overhead {
		return nil, fmt.Errorf("%w: %d bytes", errShortRecord, size)
	}
	if _, err := c.in.Discard(2); err != nil {
		return nil, err
	}
	sealed, err := c.in.Peek(size)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return sealed, err
}
