// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
)

// What of STUN, RFC 8489, and of its use by ICE, RFC 8445, is needed.
const (
	stunHeader  = 20
	stunCookie  = 0x2112A442
	stunXOR     = 0x5354554e // of the fingerprint
	integrity   = 4 + sha1.Size
	fingerprint = 4 + 4
	// maxSTUN bounds a message, in bytes; ours have no more than 600.
	maxSTUN = 1200

	bindingRequest  = 0x0001
	bindingResponse = 0x0101
	bindingError    = 0x0111

	attrUsername     = 0x0006
	attrIntegrity    = 0x0008
	attrErrorCode    = 0x0009
	attrUnknown      = 0x000a
	attrXORMapped    = 0x0020
	attrPriority     = 0x0024
	attrUseCandidate = 0x0025
	attrFingerprint  = 0x8028
	attrControlling  = 0x802a
	// optional is the first type of attributes that need not be understood.
	optional = 0x8000
	// maxUnknown bounds the types that an answer says are unknown.
	maxUnknown = 4
)

// errSTUN means that a datagram is not a STUN message, or not a good one.
var errSTUN = errors.New("malformed STUN message")

// message is a STUN message; its slices are parts of the datagram.
type message struct {
	raw         []byte
	kind        uint16
	transaction [12]byte
	username    []byte
	nominated   bool
	signed      int      // where MESSAGE-INTEGRITY begins, 0 if there is none
	checked     bool     // it has a fingerprint
	unknown     []uint16 // types that have to be understood and are not, at most maxUnknown
}

// parseSTUN decodes a message. What follows MESSAGE-INTEGRITY does not count,
// and a fingerprint must be right if there is one.
func parseSTUN(b []byte) (m message, err error) {
	if len(b) < stunHeader || len(b) > maxSTUN || b[0] > 3 ||
		binary.BigEndian.Uint32(b[4:]) != stunCookie ||
		int(binary.BigEndian.Uint16(b[2:])) != len(b)-stunHeader {
		return m, errSTUN
	}
	m.raw, m.kind = b, binary.BigEndian.Uint16(b)
	copy(m.transaction[:], b[8:])
	for at := stunHeader; at < len(b); {
		if len(b)-at < 4 {
			return m, errSTUN
		}
		name, size := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+2:]))
		next := at + 4 + (size+3)/4*4
		if next > len(b) {
			return m, errSTUN
		}
		if err := m.take(name, at, b[at+4:at+4+size]); err != nil {
			return m, err
		}
		at = next
	}
	return m, nil
}

func (m *message) take(name uint16, at int, value []byte) error {
	switch {
	case name == attrFingerprint:
		if len(value) != 4 || at+fingerprint != len(m.raw) ||
			binary.BigEndian.Uint32(value) != crc32.ChecksumIEEE(m.raw[:at])^stunXOR {
			return errSTUN
		}
		m.checked = true
	case m.signed != 0: // not covered by the signature
	case name == attrIntegrity:
		if len(value) != sha1.Size {
			return errSTUN
		}
		m.signed = at
	case name == attrUsername && m.username == nil:
		m.username = value
	case name == attrUseCandidate:
		m.nominated = true
	case name == attrUsername, name == attrPriority, name >= optional:
	case len(m.unknown) < maxUnknown:
		m.unknown = append(m.unknown, name)
	}
	return nil
}

// verify tells whether the message is signed with a password.
func (m *message) verify(password []byte) bool {
	if m.signed == 0 {
		return false
	}
	return hmac.Equal(m.raw[m.signed+4:m.signed+integrity], sign(m.raw[:m.signed], password))
}

// sign returns the MESSAGE-INTEGRITY of a message that has been written up to
// there.
func sign(b, password []byte) []byte {
	h := hmac.New(sha1.New, password)
	// The length is that of a message which ends with this attribute.
	header := [4]byte{b[0], b[1]}
	binary.BigEndian.PutUint16(header[2:], uint16(len(b)-stunHeader+integrity))
	h.Write(header[:])
	h.Write(b[4:])
	return h.Sum(nil)
}

// stunWriter writes a message.
type stunWriter []byte

func beginSTUN(kind uint16, transaction [12]byte) stunWriter {
	w := make(stunWriter, stunHeader, 128)
	binary.BigEndian.PutUint16(w, kind)
	binary.BigEndian.PutUint32(w[4:], stunCookie)
	copy(w[8:], transaction[:])
	return w
}

func (w stunWriter) add(name uint16, value []byte) stunWriter {
	w = binary.BigEndian.AppendUint16(w, name)
	w = binary.BigEndian.AppendUint16(w, uint16(len(value)))
	w = append(w, value...)
	return append(w, make([]byte, -len(value)&3)...)
}

// end signs the message and adds its fingerprint.
func (w stunWriter) end(password []byte) []byte {
	return w.add(attrIntegrity, sign(w, password)).mark()
}

// mark ends the message with a fingerprint.
func (w stunWriter) mark() []byte {
	binary.BigEndian.PutUint16(w[2:], uint16(len(w)-stunHeader+fingerprint))
	return w.add(attrFingerprint, binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(w)^stunXOR))
}

// respond answers a binding request from a remote.
func respond(to message, remote netip.AddrPort, password []byte) []byte {
	return beginSTUN(bindingResponse, to.transaction).add(attrXORMapped, xorMapped(remote, to.transaction)).end(password)
}

// xorMapped is an address as the answer to a request has it.
func xorMapped(remote netip.AddrPort, transaction [12]byte) []byte {
	ip := remote.Addr().AsSlice()
	value := []byte{0, 1, byte(remote.Port()>>8) ^ 0x21, byte(remote.Port()) ^ 0x12}
	if len(ip) == 16 {
		value[1] = 2
	}
	for i, mask := range append([]byte{0x21, 0x12, 0xa4, 0x42}, transaction[:]...)[:len(ip)] {
		value = append(value, ip[i]^mask)
	}
	return value
}

// request is the check of a controlling agent that wants this path.
func request(username string, password []byte, tieBreaker uint64) (b []byte, transaction [12]byte) {
	_, _ = rand.Read(transaction[:]) // it cannot fail
	w := beginSTUN(bindingRequest, transaction)
	w = w.add(attrUsername, []byte(username))
	// A host candidate that is seen from outside, the only one there is.
	w = w.add(attrPriority, binary.BigEndian.AppendUint32(nil, 110<<24|65535<<8|255))
	w = w.add(attrControlling, binary.BigEndian.AppendUint64(nil, tieBreaker))
	w = w.add(attrUseCandidate, nil)
	return w.end(password), transaction
}
