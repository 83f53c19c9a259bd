// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// maxAddr bounds an address from a peer, in bytes.
	maxAddr = 1024

	// maxAddrText bounds the text of an address, in bytes: what maxAddr bytes
	// can take at most when certificate hashes are written out.
	maxAddrText = 4096

	// maxComponents bounds the components of an address.
	maxComponents = 32
)

// ErrInvalidAddr says that bytes or text are not an address this package
// accepts. The text that wraps it tells why.
var ErrInvalidAddr = errors.New("invalid address")

// AddrInfo is a peer and the addresses at which it may be reached.
type AddrInfo struct {
	// ID names the peer.
	ID ID `json:"id"`
	// Addrs are transport addresses, without the peer's own /p2p at the end.
	Addrs []ma.Multiaddr `json:"addrs"`
}

// ParseAddrInfo reads what people write to name a peer: an address that ends in
// /p2p/ID, a bare /p2p/ID, or the ID alone. The last two yield no addresses.
func ParseAddrInfo(text string) (AddrInfo, error) {
	if !strings.HasPrefix(text, "/") {
		id, err := Decode(text)
		if err != nil {
			return AddrInfo{}, fmt.Errorf("neither address nor peer ID: %w", err)
		}
		return AddrInfo{ID: id}, nil
	}
	if len(text) > maxAddrText {
		return AddrInfo{}, fmt.Errorf("address of %d bytes: %w", len(text), ErrInvalidAddr)
	}
	addr, err := ma.NewMultiaddr(text)
	if err != nil {
		return AddrInfo{}, fmt.Errorf("%w: %w", ErrInvalidAddr, err)
	}
	if err := checkAddr(addr); err != nil {
		return AddrInfo{}, fmt.Errorf("%s: %w", text, err)
	}
	transport, id := SplitAddr(addr)
	if id == "" {
		return AddrInfo{}, fmt.Errorf("%s does not end in /p2p/ID: %w", text, ErrInvalidAddr)
	}
	info := AddrInfo{ID: id}
	if transport != nil {
		info.Addrs = []ma.Multiaddr{transport}
	}
	return info, nil
}

// DecodeAddr decodes the binary form of an address. It is the one door for
// addresses from peers: at most 1 KiB, 32 components and one /p2p-circuit, and
// every /p2p a valid ID; anything else is [ErrInvalidAddr]. Protocols that the
// multiaddr library does not know are errors too: an address from a peer that
// fails here is skipped, not held against the peer.
func DecodeAddr(b []byte) (ma.Multiaddr, error) {
	if len(b) == 0 || len(b) > maxAddr {
		return nil, fmt.Errorf("%d bytes: %w", len(b), ErrInvalidAddr)
	}
	addr, err := ma.NewMultiaddrBytes(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidAddr, err)
	}
	if err := checkAddr(addr); err != nil {
		return nil, err
	}
	return addr, nil
}

// checkAddr applies the bounds of DecodeAddr that hold for text too.
func checkAddr(addr ma.Multiaddr) error {
	if len(addr) == 0 || len(addr) > maxComponents {
		return fmt.Errorf("%d components: %w", len(addr), ErrInvalidAddr)
	}
	circuits := 0
	for i := range addr {
		switch addr[i].Code() {
		case ma.P_CIRCUIT:
			if circuits++; circuits > 1 {
				return fmt.Errorf("more than one /p2p-circuit: %w", ErrInvalidAddr)
			}
		case ma.P_P2P:
			if _, err := FromBytes(addr[i].RawValue()); err != nil {
				return fmt.Errorf("%w: /p2p: %w", ErrInvalidAddr, err)
			}
		}
	}
	return nil
}

// SplitAddr parts an address from the peer it leads to: the ID of a /p2p at the
// very end, and what stands before it. Without one the ID is empty and the
// address comes back whole; if there is nothing but /p2p/ID, transport is nil.
// A /p2p further to the front, as that of a relay, stays where it is.
//
// The path of a /unix is all that follows, so an ID behind it is the end of the
// path: one that ends in /p2p/ID, with something before that, is the path
// before and the ID.
func SplitAddr(addr ma.Multiaddr) (transport ma.Multiaddr, id ID) {
	n := len(addr)
	if n == 0 {
		return addr, ""
	}
	switch last := &addr[n-1]; last.Code() {
	case ma.P_P2P:
		if id = ID(last.RawValue()); n > 1 {
			transport = addr[: n-1 : n-1]
		}
		return transport, id
	case ma.P_UNIX:
		if socket, id := splitPath(last.Value()); id != "" {
			return slices.Concat(addr[:n-1], socket), id
		}
	}
	return addr, ""
}

// JoinAddr is the reverse of [SplitAddr]: it puts /p2p/ID behind a transport
// address, which stays as it is. An address that ends in this ID already, or an
// empty ID, adds nothing; an ID that is not valid yields nil.
func JoinAddr(transport ma.Multiaddr, id ID) ma.Multiaddr {
	if _, have := SplitAddr(transport); id == "" || have == id {
		return transport
	}
	if id.Validate() != nil {
		return nil
	}
	if n := len(transport); n > 0 && transport[n-1].Code() == ma.P_UNIX {
		return slices.Concat(transport[:n-1], joinPath(transport[n-1].Value(), id))
	}
	b := wire.AppendUvarint(make([]byte, 0, 3+len(id)), ma.P_P2P)
	b = wire.AppendUvarint(b, uint64(len(id)))
	last, err := ma.NewMultiaddrBytes(append(b, id...))
	if err != nil {
		return nil
	}
	return slices.Concat(transport, last)
}
