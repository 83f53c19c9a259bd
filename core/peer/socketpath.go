// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"strings"

	ma "github.com/multiformats/go-multiaddr"
)

// pathPeer is what stands between the path of a unix socket and a peer ID.
const pathPeer = "/p2p/"

// splitPath parts the path of a /unix from the ID at its end. Without one, or
// with nothing before it that could be a path, the ID is empty.
func splitPath(path string) (socket ma.Multiaddr, id ID) {
	at := strings.LastIndex(path, pathPeer)
	if at < 0 {
		return nil, ""
	}
	id, err := Decode(path[at+len(pathPeer):])
	if err != nil {
		return nil, ""
	}
	c, err := ma.NewComponent("unix", path[:at])
	if err != nil {
		return nil, ""
	}
	return ma.Multiaddr{*c}, id
}

// joinPath is the /unix whose path is the given one with the ID of a peer.
func joinPath(path string, id ID) ma.Multiaddr {
	c, err := ma.NewComponent("unix", path+pathPeer+id.String())
	if err != nil {
		return nil
	}
	return ma.Multiaddr{*c}
}
