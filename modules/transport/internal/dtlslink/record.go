// SPDX-License-Identifier: Apache-2.0 OR MIT

package dtlslink

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/prf"
)

// DTLS 1.2 records, RFC 6347, with AES-GCM, RFC 5288.
const (
	recordHeader = 13
	recordNonce  = 8 // in front of the ciphertext
	recordTag    = 16
	recordSpace  = recordHeader + recordNonce + recordTag
	nonceSize    = 4 + recordNonce
	// maxRecordNumber is where a connection ends: numbers have 48 bits.
	maxRecordNumber = 1<<48 - 1

	typeAlert     = 21
	typeHandshake = 22
	typeData      = 23

	versionHigh, versionLow = 0xfe, 0xfd

	// numberGap is how many records the DTLS library may still send after its
	// keys are taken over: those of a handshake whose end was lost.
	numberGap = 16
	// keyEpoch is the epoch of the records under the handshake's keys. There
	// is no other: nothing is negotiated again.
	keyEpoch = 1
)

// errUsedUp means that a connection has sent as many records as it may.
var errUsedUp = fmt.Errorf("dtls: the record numbers are used up: %w", net.ErrClosed)

// cipherSuites are those that WebRTC implementations must have, RFC 8827, and
// its like for RSA certificates. Both have the records above.
var cipherSuites = []dtls.CipherSuiteID{
	dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
}

// records protects what a connection carries. It has the keys of the handshake
// that the DTLS library has made: after that, the library's way with each record
// would take more time than everything else.
type records struct {
	start uint64 // the first number that is not the library's

	mu   sync.Mutex // guards next and out
	next uint64     // number of the next record
	out  half

	in     half // of the one reader, as is window
	window replayWindow
}

// half is the protection of one direction.
type half struct {
	aead cipher.AEAD
	// nonce begins with the direction's own part. It and extra stand here and
	// not on the stack, from where they would escape to the heap with every
	// record.
	nonce [nonceSize]byte
	extra [recordHeader]byte
}

// exported is the part of the library's exported state that is of use here.
type exported struct {
	LocalRandom, RemoteRandom [32]byte
	MasterSecret              []byte
	SequenceNumber            uint64
	IsClient                  bool
}

// takeOver makes the records of a handshake that is complete.
func takeOver(state *dtls.State) (*records, error) {
	b, err := state.MarshalBinary()
	if err != nil {
		return nil, err
	}
	var x exported
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&x); err != nil {
		return nil, err
	}
	client, server := x.LocalRandom, x.RemoteRandom
	if !x.IsClient {
		client, server = server, client
	}
	keys, err := prf.GenerateEncryptionKeys(x.MasterSecret, client[:], server[:], 0, 16, 4, sha256.New)
	if err != nil {
		return nil, err
	}
	fromClient, err1 := newHalf(keys.ClientWriteKey, keys.ClientWriteIV)
	fromServer, err2 := newHalf(keys.ServerWriteKey, keys.ServerWriteIV)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	r := &records{in: fromServer, out: fromClient, start: x.SequenceNumber + numberGap}
	if !x.IsClient {
		r.in, r.out = fromClient, fromServer
	}
	r.next = r.start
	return r, nil
}

func newHalf(key, iv []byte) (h half, err error) {
	if len(iv) != nonceSize-recordNonce {
		return h, fmt.Errorf("an IV of %d bytes", len(iv))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return h, err
	}
	h.aead, err = cipher.NewGCM(block)
	copy(h.nonce[:], iv)
	return h, err
}

// seal appends a record to dst, which must have room for it.
func (r *records) seal(dst []byte, kind byte, plaintext []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next > maxRecordNumber {
		return nil, errUsedUp
	}
	header := len(dst)
	dst = append(dst, kind, versionHigh, versionLow)
	dst = binary.BigEndian.AppendUint64(dst, keyEpoch<<48|r.next)
	dst = binary.BigEndian.AppendUint16(dst, uint16(recordNonce+len(plaintext)+recordTag))
	dst = binary.BigEndian.AppendUint64(dst, keyEpoch<<48|r.next) // the nonce is the number
	r.next++
	r.out.prepare(dst[header:], len(plaintext))
	return r.out.aead.Seal(dst, r.out.nonce[:], plaintext, r.out.extra[:]), nil
}

// open appends the content of a record to dst. It returns false if the record is
// not authentic, or has come before.
func (r *records) open(dst, record []byte) (plaintext []byte, ok bool) {
	if len(record) < recordSpace || binary.BigEndian.Uint16(record[3:]) != keyEpoch {
		return nil, false
	}
	number := recordNumber(record)
	if !r.window.fresh(number) {
		return nil, false
	}
	r.in.prepare(record, len(record)-recordSpace)
	plaintext, err := r.in.aead.Open(dst, r.in.nonce[:], record[recordHeader+recordNonce:], r.in.extra[:])
	if err != nil {
		return nil, false
	}
	r.window.mark(number)
	return plaintext, true
}

// prepare sets the nonce of a record, and what is authenticated and not
// encrypted: its number, type and version, and the length of its content.
func (h *half) prepare(record []byte, size int) {
	copy(h.nonce[nonceSize-recordNonce:], record[recordHeader:])
	copy(h.extra[:], record[3:11])
	copy(h.extra[8:], record[:3])
	binary.BigEndian.PutUint16(h.extra[11:], uint16(size))
}

// replayWindow knows which of the latest records have arrived.
type replayWindow struct {
	highest uint64
	seen    [replayWords]uint64
}

const (
	replayWords = 8
	// replaySize is how far behind the latest record an earlier one may come.
	replaySize = (replayWords - 1) * 64
)

func (w *replayWindow) fresh(number uint64) bool {
	if number > w.highest {
		return true
	}
	return w.highest-number < replaySize && w.seen[number/64%replayWords]&(1<<(number%64)) == 0
}

func (w *replayWindow) mark(number uint64) {
	if number > w.highest {
		for word := w.highest/64 + 1; word <= number/64 && word <= w.highest/64+replayWords; word++ {
			w.seen[word%replayWords] = 0
		}
		w.highest = number
	}
	w.seen[number/64%replayWords] |= 1 << (number % 64)
}

// nextRecord cuts the first record off a datagram; it is nil if there is none.
func nextRecord(b []byte) (record, rest []byte) {
	if len(b) < recordHeader {
		return nil, nil
	}
	size := recordHeader + int(binary.BigEndian.Uint16(b[11:]))
	if size > len(b) {
		return nil, nil
	}
	return b[:size], b[size:]
}

// recordNumber returns the number of a record within its epoch.
func recordNumber(record []byte) uint64 { return binary.BigEndian.Uint64(record[3:]) & maxRecordNumber }

// IsClientHello tells whether a datagram begins a handshake.
func IsClientHello(b []byte) bool { return begins(b, 1) }

// isServerHello tells whether a datagram answers a hello that has come back with
// the cookie which was sent to the remote's address.
func isServerHello(b []byte) bool { return begins(b, 2) }

// begins tells whether a datagram begins with a message of a handshake, in the
// clear.
func begins(b []byte, message byte) bool {
	record, _ := nextRecord(b)
	return len(record) > recordHeader && record[0] == typeHandshake && record[3] == 0 && record[4] == 0 &&
		record[recordHeader] == message
}
