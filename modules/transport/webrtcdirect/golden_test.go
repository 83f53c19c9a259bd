// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"testing"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vector of the specification.
func TestPrologueGolden(t *testing.T) {
	client := hash(unhex(t, "3e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870"))
	server := hash(unhex(t, "30fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99"))
	want := unhex(t, "6c69627032702d7765627274632d6e6f6973653a12203e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870122030fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99")
	if got := prologue(client, server); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// Another certificate means addresses that no longer work.
func TestCertificateGolden(t *testing.T) {
	c, err := certificateOf([32]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hex.EncodeToString(c.hash[:]), "357d61e74a013f3c4bad97f70c28c9a0e1a007fcf8459a79dae5067db7bd27c6"; got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}

func TestCertificateSurvives(t *testing.T) {
	for _, kt := range []peer.KeyType{peer.Ed25519, peer.ECDSA, peer.Secp256k1, peer.RSA} {
		id, dir := coretest.GenerateIdentity(t, kt), t.TempDir()
		one, err1 := newCertificate(id, dir)
		two, err2 := newCertificate(id, dir)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if one.hash != two.hash {
			t.Errorf("%s: another certificate after a restart", kt)
		}
		parsed, err := x509.ParseCertificate(one.tls.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := parsed.CheckSignature(parsed.SignatureAlgorithm, parsed.RawTBSCertificate, parsed.Signature); err != nil {
			t.Errorf("%s: %v", kt, err)
		}
	}
}
