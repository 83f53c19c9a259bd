// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
)

// vectors are the certificates of the specification, and whose they are.
var vectors = map[string]string{
	"ed25519":   "12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv",
	"ecdsa":     "QmfXbAwNjJLXfesgztEHe8HwgVDCMMpZ9Eax1HYq6hn9uE",
	"secp256k1": "16Uiu2HAkutTMoTzDw1tCvSRtu6YoixJwS46S1ZFxW8hSx9fWHiPs",
	"invalid":   "",
}

func vector(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	der, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestSpecificationVectors(t *testing.T) {
	for name, want := range vectors {
		cert, err := x509.ParseCertificate(vector(t, name))
		if err != nil {
			t.Fatal(err)
		}
		var v verified
		p, err := v.check(cert, time.Now())
		switch {
		case want == "" && (err == nil || !strings.Contains(err.Error(), "identity key")):
			t.Errorf("%s: %v", name, err)
		case want != "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want != "" && p.id.String() != want:
			t.Errorf("%s: of %s, want %s", name, p.id, want)
		}
		if err != nil {
			continue
		}
		if again, err := v.check(cert, time.Now()); err != nil || again != p {
			t.Errorf("%s: not remembered: %v", name, err)
		}
		value := cert.Extensions[0].Value
		key, signature, err := decodeSignedKey(value)
		if err != nil {
			t.Fatal(err)
		}
		if encoded, err := encodeSignedKey(key, signature); err != nil || !bytes.Equal(encoded, value) {
			t.Errorf("%s: encodes as %x, want %x", name, encoded, value)
		}
	}
}

// TestExtensionBytes pins what we send: the extension of an identity whose
// signatures are always the same, for the key of the specification's certificates.
func TestExtensionBytes(t *testing.T) {
	const want = "3068042408011220fa93b15f0450425e1bde58fa76a3c7b1038fc8b02864bcf9fbba6d1e268af657" +
		"044054bb03a18336891b46ce0464455f55d70fcd97af47b9c9262e1cd72898dbe8009e1e469a764eb3b79cc26861ad5557b9da8ed9f392688261d057ef907407ff09"
	cert, err := x509.ParseCertificate(vector(t, "ed25519"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := vouch(ourselves, cert.RawSubjectPublicKeyInfo)
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(got) != want {
		t.Errorf("%x, want %s", got, want)
	}
}

// FuzzCertificate verifies whatever it is given.
func FuzzCertificate(f *testing.F) {
	for name := range vectors {
		f.Add(vector(f, name))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		p, err := prove(cert)
		c, unproven := readClaim(cert)
		if err == nil && (unproven != nil || !p.id.Matches(c.key)) {
			t.Errorf("proves %v, and claims %v (%v)", p.id, c.key, unproven)
		}
	})
}

// FuzzSignedKey decodes whatever it is given: what is accepted has one encoding.
func FuzzSignedKey(f *testing.F) {
	for name := range vectors {
		cert, err := x509.ParseCertificate(vector(f, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(cert.Extensions[0].Value)
	}
	f.Add([]byte{0x30, 4, 4, 0, 4, 0})
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		key, signature, err := decodeSignedKey(b)
		if err != nil {
			return
		}
		if again, err := encodeSignedKey(key, signature); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x encodes as %x (%v)", b, again, err)
		}
		_, _ = peer.UnmarshalPublicKey(key)
	})
}
