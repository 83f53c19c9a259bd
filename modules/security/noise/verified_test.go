// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"encoding/binary"
	"testing"

	"github.com/xnode-p2p/xnode/core/peer"
)

// claimFor returns the encoded key of who and its signature for a static key.
func claimFor(t testing.TB, who self, static [32]byte) (identity, signature []byte) {
	t.Helper()
	signature, err := who.Sign(signedData(static[:]))
	if err != nil {
		t.Fatal(err)
	}
	return peer.MarshalPublicKey(who.PublicKey()), signature
}

func TestVerifiedRemembersOnlyWhatItSaw(t *testing.T) {
	var v verified
	who, other := newSelf(t, peer.Ed25519), newSelf(t, peer.Ed25519)
	static := [32]byte{1}
	identity, signature := claimFor(t, who, static)
	first, err := v.check(static, identity, signature)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := v.check(static, identity, signature); again != first || err != nil {
		t.Errorf("not remembered: %v", err)
	}
	otherIdentity, otherSignature := claimFor(t, other, static)
	flipped := append([]byte(nil), signature...)
	flipped[3] ^= 1
	for name, bad := range map[string]struct {
		static              [32]byte
		identity, signature []byte
	}{
		"another static key":           {[32]byte{2}, identity, signature},
		"another signature":            {static, identity, flipped},
		"another identity":             {static, otherIdentity, signature},
		"another identity's signature": {static, identity, otherSignature},
		"no signature":                 {static, identity, nil},
		"no identity":                  {static, nil, signature},
	} {
		if _, err := v.check(bad.static, bad.identity, bad.signature); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// Another identity may vouch for the same static key, which changes nothing
	// for either.
	if p, err := v.check(static, otherIdentity, otherSignature); err != nil || p.id != other.ID() {
		t.Errorf("other identity: %v", err)
	}
	if p, err := v.check(static, identity, signature); err != nil || p.id != who.ID() {
		t.Errorf("first identity: %v", err)
	}
}

func TestVerifiedIsBounded(t *testing.T) {
	var v verified
	dear := [32]byte{0: 0xff}
	v.remember(dear, &proof{})
	for i := range 10 * maxVerified {
		var static [32]byte
		binary.BigEndian.PutUint32(static[1:], uint32(i))
		v.remember(static, &proof{})
		if i%100 == 0 && v.recall(dear) == nil {
			t.Fatalf("forgot a peer that was back %d strangers ago", 100)
		}
		if n := len(v.young) + len(v.old); n > maxVerified {
			t.Fatalf("%d entries, limit %d", n, maxVerified)
		}
	}

	rsa := newSelf(t, peer.RSA)
	identity, signature := claimFor(t, rsa, dear)
	var w verified
	if _, err := w.check(dear, identity, signature); err != nil {
		t.Fatal(err)
	}
	if len(w.young) != 0 {
		t.Error("a large key was remembered")
	}
}
