// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multibase"

	"github.com/xnode-p2p/xnode/modules/transport/internal/udpport"
)

// maxCertHashes bounds the certificate hashes of an address. A server has two.
const maxCertHashes = 16

// sha256Prefix begins the multihash of a SHA-256 digest: code and length.
var sha256Prefix = [2]byte{0x12, 32}

// endpoint is what an address of the transport says:
// /ip4|ip6/…/udp/N/quic-v1[/sni/name]/webtransport[/certhash/…]*.
type endpoint struct {
	at netip.AddrPort
	// name is what the server's certificate must be for if there are no hashes.
	name string
	// hashes are the multihashes of the certificates that the server may have.
	hashes [][]byte
}

var errShape = errors.New("want /ip4|ip6/…/udp/N/quic-v1/webtransport, with /sni/… before the last part or /certhash/… behind it or both")

// parse reads an address. The slices of the endpoint are parts of it.
func parse(a ma.Multiaddr) (endpoint, error) {
	at, rest, err := udpport.Endpoint(a)
	if err != nil || len(rest) < 2 || rest[0].Code() != ma.P_QUIC_V1 {
		return endpoint{}, fmt.Errorf("%s: %w", a, errShape)
	}
	e := endpoint{at: at}
	rest = rest[1:]
	if rest[0].Code() == ma.P_SNI {
		e.name = rest[0].Value()
		rest = rest[1:]
	}
	if len(rest) == 0 || rest[0].Code() != ma.P_WEBTRANSPORT {
		return endpoint{}, fmt.Errorf("%s: %w", a, errShape)
	}
	for _, c := range rest[1:] {
		if c.Code() != ma.P_CERTHASH {
			return endpoint{}, fmt.Errorf("%s: %w", a, errShape)
		}
		e.hashes = append(e.hashes, c.RawValue())
	}
	if len(e.hashes) > maxCertHashes {
		return endpoint{}, fmt.Errorf("%s: %d certificate hashes, limit %d", a, len(e.hashes), maxCertHashes)
	}
	return e, nil
}

// sha256Hashes lists the digests of those hashes that are SHA-256, which is all
// that the W3C's serverCertificateHashes knows.
func (e endpoint) sha256Hashes() [][32]byte {
	var list [][32]byte
	for _, h := range e.hashes {
		if len(h) == 34 && [2]byte(h) == sha256Prefix {
			list = append(list, [32]byte(h[2:]))
		}
	}
	return list
}

// multihash encodes a SHA-256 digest.
func multihash(digest [32]byte) []byte { return append(sha256Prefix[:], digest[:]...) }

// webtransportPart follows the QUIC part of every address.
var webtransportPart = ma.StringCast("/webtransport")

// multiaddr is the address of a UDP socket, without certificate hashes.
func multiaddr(a net.Addr) (ma.Multiaddr, error) {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		return nil, fmt.Errorf("%s: not a UDP address", a)
	}
	at := udp.AddrPort()
	quic, err := udpport.QUICMultiaddr(netip.AddrPortFrom(at.Addr().Unmap(), at.Port()))
	if err != nil {
		return nil, err
	}
	return quic.Encapsulate(webtransportPart), nil
}

// certHashes are the components for multihashes.
func certHashes(hashes ...[]byte) (ma.Multiaddr, error) {
	var list ma.Multiaddr
	for _, h := range hashes {
		text, err := multibase.Encode(multibase.Base64url, h)
		if err != nil {
			return nil, err
		}
		c, err := ma.NewComponent("certhash", text)
		if err != nil {
			return nil, err
		}
		list = append(list, *c)
	}
	return list, nil
}
