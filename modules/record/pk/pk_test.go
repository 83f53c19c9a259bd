// SPDX-License-Identifier: Apache-2.0 OR MIT

package pk

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
)

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.RecordValidator](t, "pk", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "unknown key", JSON: `{"max": 1}`, WantErr: `unknown field "max"`},
	})
}

// validators are those of a store with the module loaded as a node loads it.
func validators(t testing.TB) record.Validators {
	t.Helper()
	return record.Validators{"pk": coretest.MustLoad[core.RecordValidator](t, "pk", `{}`)}
}

func TestKeys(t *testing.T) {
	v := validators(t)
	for _, kind := range []peer.KeyType{peer.RSA, peer.Ed25519, peer.Secp256k1, peer.ECDSA} {
		k, err := peer.GenerateKey(kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		key, value := "/pk/"+string(peer.FromPublicKey(k.Public())), peer.MarshalPublicKey(k.Public())
		if err := v.Validate(key, value); err != nil {
			t.Errorf("%v: %v", kind, err)
		}
		if i, err := v.Select(key, [][]byte{value, value}); i != 0 || err != nil {
			t.Errorf("%v: selected %d, %v", kind, i, err)
		}
	}
}

func TestEvil_K2_KeyOfAnotherPeer(t *testing.T) {
	v := validators(t)
	own, other := coretest.NewIdentity(1), coretest.NewIdentity(2)
	value := peer.MarshalPublicKey(own.PublicKey())
	for name, tt := range map[string]struct {
		key   string
		value []byte
		want  error
	}{
		"another peer's":     {"/pk/" + string(other.ID()), value, record.ErrWrongPeer},
		"empty":              {"/pk/" + string(own.ID()), nil, record.ErrInvalid},
		"cut":                {"/pk/" + string(own.ID()), value[:len(value)-1], record.ErrInvalid},
		"more behind":        {"/pk/" + string(own.ID()), append(bytes.Clone(value), 0), record.ErrInvalid},
		"ID as text":         {"/pk/" + own.ID().String(), value, record.ErrInvalid},
		"no ID":              {"/pk/", value, record.ErrNamespace},
		"half an ID":         {"/pk/" + string(own.ID())[:9], value, record.ErrInvalid},
		"more behind the ID": {"/pk/" + string(own.ID()) + "/", value, record.ErrInvalid},
		"identity of 1 KiB":  {"/pk/\x00\x80\x08" + string(make([]byte, 400)), value, record.ErrInvalid},
	} {
		if err := v.Validate(tt.key, tt.value); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if err := new(Validator).Validate("/ipns/"+string(own.ID()), value); !errors.Is(err, record.ErrInvalid) {
		t.Errorf("another namespace: %v", err)
	}
}

// oddRSA is the message of an RSA key of so many bits, which nobody has.
func oddRSA(t *testing.T, bits uint) []byte {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), bits)
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.Sub(n, big.NewInt(39)), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(peer.RSA))
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	return protowire.AppendBytes(b, der)
}

// TestEvil_A1_OversizedRSA carries an RSA key beyond the bounds in a record.
func TestEvil_A1_OversizedRSA(t *testing.T) {
	v := validators(t)
	for _, bits := range []uint{1024, 8193, 16384} {
		value := oddRSA(t, bits)
		key := "/pk/" + string(coretest.NewIdentity(1).ID())
		if err := v.Validate(key, value); !errors.Is(err, record.ErrInvalid) || !errors.Is(err, peer.ErrInvalidKey) {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

func FuzzValidate(f *testing.F) {
	own := coretest.NewIdentity(1)
	f.Add("/pk/"+string(own.ID()), peer.MarshalPublicKey(own.PublicKey()))
	f.Add("/pk/", []byte{8, 1})
	v := new(Validator)
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		if v.Validate(key, value) != nil {
			return
		}
		if k, err := peer.UnmarshalPublicKey(value); err != nil || key != "/pk/"+string(peer.FromPublicKey(k)) {
			t.Errorf("%q is valid for %x", key, value)
		}
	})
}
