// SPDX-License-Identifier: Apache-2.0 OR MIT

package keytext

import (
	"errors"
	"strings"
	"testing"

	"github.com/xnode-p2p/xnode/core/peer"
)

func TestDecode(t *testing.T) {
	for _, kind := range []peer.KeyType{peer.Ed25519, peer.Secp256k1, peer.ECDSA, peer.RSA} {
		key, err := peer.GenerateKey(kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		text := Encode(key)
		var wrapped strings.Builder
		for rest := text; rest != ""; {
			n := min(76, len(rest))
			wrapped.WriteString(rest[:n] + "\r\n")
			rest = rest[n:]
		}
		for name, b := range map[string]string{
			"bytes":          string(peer.MarshalPrivateKey(key)),
			"base64":         text,
			"without pad":    strings.TrimRight(text, "="),
			"with line end":  " " + text + "\n",
			"in short lines": wrapped.String(),
		} {
			got, err := Decode([]byte(b))
			if err != nil {
				t.Errorf("%v, %s: %v", kind, name, err)
			} else if !got.Public().Equal(key.Public()) || got.Type() != kind {
				t.Errorf("%v, %s: another key", kind, name)
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	key, err := peer.GenerateKey(peer.Ed25519, nil)
	if err != nil {
		t.Fatal(err)
	}
	message := string(peer.MarshalPrivateKey(key))
	for name, test := range map[string]struct {
		content string
		want    error
	}{
		"nothing":      {"", ErrEmpty},
		"white space":  {" \n", ErrEmpty},
		"PEM":          {"-----BEGIN PRIVATE KEY-----\n", ErrPEM},
		"torn":         {message[:40], peer.ErrInvalidKey},
		"torn base64":  {Encode(key)[:40], peer.ErrInvalidKey},
		"longer":       {message + "x", peer.ErrInvalidKey},
		"text":         {"hello, world!", peer.ErrInvalidKey},
		"base64 of it": {"aGVsbG8sIHdvcmxkIQ==", peer.ErrInvalidKey},
		"huge":         {strings.Repeat("A", MaxSize+1), peer.ErrInvalidKey},
	} {
		_, err := Decode([]byte(test.content))
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if len(test.content) > 30 && strings.Contains(err.Error(), test.content[8:16]) {
			t.Errorf("%s: the error shows the content: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	key := peer.Ed25519FromSeed([32]byte{1})
	f.Add(peer.MarshalPrivateKey(key))
	f.Add([]byte(Encode(key)))
	f.Add([]byte("CAES="))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Decode([]byte(Encode(key)))
		if err != nil || !again.Public().Equal(key.Public()) {
			t.Fatalf("not the same when encoded again: %v", err)
		}
	})
}
