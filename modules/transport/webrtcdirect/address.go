// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"errors"
	"fmt"
	"net/netip"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multibase"

	"github.com/xnode-p2p/xnode/modules/transport/internal/udpport"
)

// hash is the SHA-256 of a certificate.
type hash [32]byte

// hashPrefix begins the multihash of such a hash: its code and length.
var hashPrefix = [2]byte{0x12, 32}

// multihash is the hash as addresses and the handshake have it.
func (h hash) multihash() []byte { return append(hashPrefix[:], h[:]...) }

var (
	suffix = ma.StringCast("/webrtc-direct")

	errShape    = errors.New("want /ip4/…/udp/N/webrtc-direct or /ip6/…/udp/N/webrtc-direct")
	errNoHash   = errors.New("no /certhash, by which the listener is known")
	errHashType = errors.New("the /certhash is not of sha2-256, which is the only hash supported")
)

// parseAddress reads /ip4|ip6/…/udp/N/webrtc-direct[/certhash/H]. hashed tells
// whether there is a hash.
func parseAddress(a ma.Multiaddr) (at netip.AddrPort, h hash, hashed bool, err error) {
	at, rest, err := udpport.Endpoint(a)
	switch {
	case err != nil || len(rest) == 0 || rest[0].Code() != ma.P_WEBRTC_DIRECT || len(rest) > 2:
		return at, h, false, fmt.Errorf("%s: %w", a, errShape)
	case len(rest) == 1:
		return at, h, false, nil
	case rest[1].Code() != ma.P_CERTHASH:
		return at, h, false, fmt.Errorf("%s: %w", a, errShape)
	}
	h, err = parseHash(rest[1].RawValue())
	if err != nil {
		return at, h, false, fmt.Errorf("%s: %w", a, err)
	}
	return at, h, true, nil
}

// parseHash reads the multihash of a certificate.
func parseHash(b []byte) (h hash, err error) {
	if len(b) != len(hashPrefix)+len(h) || [2]byte(b) != hashPrefix {
		return h, errHashType
	}
	return hash(b[len(hashPrefix):]), nil
}

// address writes /ip4|ip6/…/udp/N/webrtc-direct.
func address(at netip.AddrPort) (ma.Multiaddr, error) {
	a, err := udpport.Multiaddr(at)
	if err != nil {
		return nil, err
	}
	return a.Encapsulate(suffix), nil
}

// withHash adds /certhash/H to an address.
func withHash(a ma.Multiaddr, h hash) (ma.Multiaddr, error) {
	text, err := multibase.Encode(multibase.Base64url, h.multihash())
	if err != nil {
		return nil, err
	}
	c, err := ma.NewComponent("certhash", text)
	if err != nil {
		return nil, err
	}
	return a.Encapsulate(c.Multiaddr()), nil
}
