// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"bytes"
	"crypto/rand"
)

// The prefixes of the listener's user fragment say which version of the protocol
// the dialer speaks.
//
// In version 1 the dialer sets one random text as the fragment and the password
// of both sides. In version 2, which is for browsers that do not let a page
// choose their own, the dialer has any, and calls the listener by a fragment
// that ends in the dialer's password. In both, the listener's password is its
// fragment.
const (
	prefixV1 = "libp2p+webrtc+v1/"
	prefixV2 = "libp2p+webrtc+v2/"
)

// The lengths that ICE allows, RFC 8839.
const (
	minFragment, maxFragment = 4, 256
	minPassword, maxPassword = 22, 256
)

// credentials are what a binding request says of the two sides.
type credentials struct {
	listener []byte // fragment and password
	dialer   []byte // fragment
	password []byte // of the dialer
}

// parseUsername reads what a dialer sends. It returns false for anything that is
// not of a version known here.
func parseUsername(b []byte) (c credentials, ok bool) {
	c.listener, c.dialer, ok = bytes.Cut(b, []byte(":"))
	if !ok || !isICE(c.listener, minFragment, maxFragment) || !isICE(c.dialer, minFragment, maxFragment) {
		return credentials{}, false
	}
	if password, ok := bytes.CutPrefix(c.listener, []byte(prefixV2)); ok {
		c.password = password
		return c, isICE(password, minPassword, maxPassword)
	}
	c.password = c.dialer
	return c, bytes.HasPrefix(c.listener, []byte(prefixV1))
}

// isICE tells whether b is of ICE's characters, and of a length within bounds.
func isICE(b []byte, shortest, longest int) bool {
	if len(b) < shortest || len(b) > longest {
		return false
	}
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '+', c == '/':
		default:
			return false
		}
	}
	return true
}

// newFragment makes the credentials of a dialer. It speaks version 1, which all
// listeners know.
func newFragment() string { return prefixV1 + rand.Text() }
