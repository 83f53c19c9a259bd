// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/netip"

	"github.com/quic-go/quic-go"

	"github.com/xnode-p2p/xnode/core"
)

// resetLabel is what the identity signs for the secret of stateless resets.
const resetLabel = "xnode stateless reset"

// resetSecret is what the keys of a node's stateless resets follow from.
type resetSecret [sha256.Size]byte

// newResetSecret derives the secret from the identity, so that a node that starts
// again can end the connections of its former life. Where signatures are not the
// same every time, it is random.
func newResetSecret(id core.Identity) (secret resetSecret, err error) {
	first, err := id.Sign([]byte(resetLabel))
	if err != nil {
		return secret, err
	}
	second, err := id.Sign([]byte(resetLabel))
	if err != nil {
		return secret, err
	}
	if string(first) != string(second) {
		rand.Read(secret[:])
		return secret, nil
	}
	return sha256.Sum256(first), nil
}

// key is that of a port. It is another one for each: otherwise one port would
// tell what the resets of another look like.
func (s *resetSecret) key(at netip.AddrPort) quic.StatelessResetKey {
	mac := hmac.New(sha256.New, s[:])
	mac.Write([]byte(at.String()))
	return quic.StatelessResetKey(mac.Sum(nil))
}
