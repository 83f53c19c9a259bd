// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
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

func TestVerifiedForgetsLargeKeys(t *testing.T) {
	for kt, want := range map[peer.KeyType]bool{peer.Ed25519: true, peer.ECDSA: true, peer.Secp256k1: true, peer.RSA: false} {
		var v verified
		static := [32]byte{1}
		identity, signature := claimFor(t, newSelf(t, kt), static)
		if _, err := v.check(static, identity, signature); err != nil {
			t.Fatal(err)
		}
		if got := v.proofs.Get(static) != nil; got != want {
			t.Errorf("%v key remembered: %v, want %v", kt, got, want)
		}
	}
}
