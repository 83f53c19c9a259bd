// SPDX-License-Identifier: Apache-2.0 OR MIT

package unix

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"strings"
	"syscall"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
)

// maxPath is the longest path that the system takes, in bytes. One more is for
// the zero at its end.
const maxPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// endpoint is what an address says.
type endpoint struct {
	path string
	addr ma.Multiaddr // without a peer ID
	id   peer.ID      // empty if there is none
}

// parse reads /unix/PATH, whose path may end in /p2p/ID.
func parse(a ma.Multiaddr) (endpoint, error) {
	addr, id := peer.SplitAddr(a)
	if len(addr) != 1 || addr[0].Code() != ma.P_UNIX {
		return endpoint{}, fmt.Errorf("%s: want /unix/PATH and nothing after it", a)
	}
	if _, second := peer.SplitAddr(addr); second != "" {
		return endpoint{}, fmt.Errorf("%s: two peer IDs", a)
	}
	to := endpoint{path: addr[0].Value(), addr: addr, id: id}
	switch clean := path.Clean(to.path); {
	case strings.ContainsRune(to.path, 0):
		return endpoint{}, fmt.Errorf("%s: a zero in a path", a)
	case clean != to.path:
		return endpoint{}, fmt.Errorf("%s: the path is not absolute and plain: want /unix%s", a, clean)
	case len(to.path) > maxPath:
		return endpoint{}, fmt.Errorf("%s: the path has %d bytes, and the system takes %d", a, len(to.path), maxPath)
	}
	return to, nil
}

// cause takes away what package net puts around an error: the path, which the
// caller names, and the names of system calls.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		err = sys.Err
	}
	return err
}
