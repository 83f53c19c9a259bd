// SPDX-License-Identifier: Apache-2.0 OR MIT

package plaintext

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
)

var keyTypes = []peer.KeyType{peer.Ed25519, peer.Secp256k1, peer.ECDSA, peer.RSA}

// field encodes one field of bytes.
func field(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

func TestExchange(t *testing.T) {
	for _, kind := range keyTypes {
		key := coretest.GenerateIdentity(t, kind).PublicKey()
		b := encodeExchange(key)
		got, err := decodeExchange(b)
		if err != nil || !got.Equal(key) {
			t.Errorf("%v: %v", kind, err)
		}
		if got, err = decodeExchange(append(b, field(9, []byte("more"))...)); err != nil || !got.Equal(key) {
			t.Errorf("%v, with a field that is not known: %v", kind, err)
		}
	}
}

func TestEvil_A1_RSASize(t *testing.T) {
	for _, bits := range []int{16384, 8193, 1024} {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537})
		if err != nil {
			t.Fatal(err)
		}
		key := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(peer.RSA))
		key = append(key, field(2, der)...)
		if _, err := decodeExchange(field(fieldKey, key)); !errors.Is(err, peer.ErrInvalidKey) {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

func TestEvil_A4_Exchange(t *testing.T) {
	key := peer.MarshalPublicKey(coretest.NewIdentity(1).PublicKey())
	id, other := coretest.NewIdentity(1).ID().Bytes(), coretest.NewIdentity(2).ID().Bytes()
	for name, tc := range map[string]struct {
		message []byte
		want    string
	}{
		"empty":          {nil, "no public key"},
		"no key":         {field(fieldID, id), "no public key"},
		"empty key":      {slices.Concat(field(fieldID, id), field(fieldKey, []byte{})), "key"},
		"no ID":          {field(fieldKey, key), "is not that of the key"},
		"empty ID":       {slices.Concat(field(fieldID, nil), field(fieldKey, key)), "is not that of the key"},
		"another's ID":   {slices.Concat(field(fieldID, other), field(fieldKey, key)), "is not that of the key"},
		"two IDs":        {slices.Concat(field(fieldID, id), field(fieldKey, key), field(fieldID, other)), "is not that of the key"},
		"a long ID":      {slices.Concat(field(fieldID, bytes.Repeat([]byte{0}, 1500)), field(fieldKey, key)), "is not that of the key"},
		"ID as text":     {slices.Concat(field(fieldID, []byte(coretest.NewIdentity(1).ID().String())), field(fieldKey, key)), "is not that of the key"},
		"ID as a number": {slices.Concat(protowire.AppendVarint(protowire.AppendTag(nil, fieldID, protowire.VarintType), 7), field(fieldKey, key)), "field 1"},
		"cut off":        {slices.Concat(field(fieldID, id), field(fieldKey, key))[:50], "protobuf"},
	} {
		key, err := decodeExchange(tc.message)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, %v; want %q in it", name, key, err, tc.want)
		}
	}
}

// FuzzExchange decodes whatever it is given.
func FuzzExchange(f *testing.F) {
	for _, kind := range keyTypes {
		f.Add(encodeExchange(coretest.GenerateIdentity(f, kind).PublicKey()))
	}
	f.Add([]byte{})
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := decodeExchange(b)
		if err != nil {
			return
		}
		again, err := decodeExchange(encodeExchange(key))
		if err != nil || !again.Equal(key) {
			t.Errorf("%v", err)
		}
	})
}
