// SPDX-License-Identifier: Apache-2.0 OR MIT

package message

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"testing"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// signer signs with a key.
type signer struct{ key peer.PrivateKey }

func (s signer) PublicKey() peer.PublicKey        { return s.key.Public() }
func (s signer) Sign(data []byte) ([]byte, error) { return s.key.Sign(data) }

func newSigner(t testing.TB, kind peer.KeyType) signer {
	t.Helper()
	key, err := peer.GenerateKey(kind, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key}
}

// seqno is that of the tests' messages.
var seqno = [8]byte{7: 9}

// check is what a hub does with a message of a peer.
func check(p Policy, m *rpc.Message, authors *Authors) error {
	if err := p.Check(m); err != nil {
		return err
	}
	if _, err := Author(m); err != nil {
		return err
	}
	return p.Verify(m, authors)
}

// What one node makes another one accepts, with keys of all types.
func TestOwnMessages(t *testing.T) {
	for name, p := range policies {
		for _, kind := range []peer.KeyType{peer.Ed25519, peer.Secp256k1, peer.ECDSA, peer.RSA} {
			made, err := p.New(newSigner(t, kind), "news", []byte("hello"), seqno)
			if err != nil {
				t.Fatal(err)
			}
			got, err := rpc.DecodeMessage(made.Raw)
			if err != nil {
				t.Fatal(err)
			}
			authors := new(Authors)
			for i := range 4 { // the key of an author is prepared with the second one
				if err := check(p, &got, authors); err != nil {
					t.Errorf("%s, %v, message %d: %v", name, kind, i, err)
				}
			}
			if signed := len(got.Signature) > 0; signed != p.Sign {
				t.Errorf("%s: signed %v", name, signed)
			}
			if hasKey := len(got.Key) > 0; hasKey != (p.Sign && (kind == peer.RSA || kind == peer.ECDSA)) {
				t.Errorf("%s, %v: with a key: %v", name, kind, hasKey)
			}
			if string(got.Data) != "hello" || got.Topic != "news" {
				t.Errorf("%s: got %q on %q", name, got.Data, got.Topic)
			}
		}
	}
}

// Each policy against each way in which a message can be wrong, for authors with
// keys in their IDs and without. A nil error means that it is accepted.
func TestEvil_G8_Malformed(t *testing.T) {
	for _, kind := range []peer.KeyType{peer.Ed25519, peer.Secp256k1, peer.RSA} {
		alice, mallory := newSigner(t, kind), newSigner(t, kind)
		for _, tc := range []struct {
			name                      string
			change                    func(*rpc.Message)
			strictSign, strictNo, lax error
		}{
			{"as it is", func(*rpc.Message) {}, nil, ErrSigned, nil},
			{"no topic", func(m *rpc.Message) { m.HasTopic = false }, ErrNoTopic, ErrNoTopic, ErrNoTopic},
			{"no signature", func(m *rpc.Message) { m.Signature = nil }, ErrNoSignature, ErrSigned, nil},
			{"empty signature", func(m *rpc.Message) { m.Signature = []byte{} }, ErrNoSignature, ErrSigned, nil},
			{"no author", func(m *rpc.Message) { m.From = nil }, ErrAuthor, ErrSigned, ErrKey},
			{"author is no ID", func(m *rpc.Message) { m.From = []byte("alice") }, ErrAuthor, ErrSigned, ErrAuthor},
			{"another author", func(m *rpc.Message) {
				m.From = peer.FromPublicKey(mallory.PublicKey()).Bytes()
			}, errAny, ErrSigned, errAny},
			{"another's key", func(m *rpc.Message) { m.Key = peer.MarshalPublicKey(mallory.PublicKey()) }, ErrKey, ErrSigned, ErrKey},
			{"key is none", func(m *rpc.Message) { m.Key = []byte{1, 2, 3} }, ErrKey, ErrSigned, ErrKey},
			{"no number", func(m *rpc.Message) { m.Seqno = nil }, ErrSeqno, ErrSigned, ErrSignature},
			{"short number", func(m *rpc.Message) { m.Seqno = m.Seqno[:7] }, ErrSeqno, ErrSigned, ErrSignature},
			{"another number", func(m *rpc.Message) { m.Seqno = []byte{7: 8} }, ErrSignature, ErrSigned, ErrSignature},
			{"other data", func(m *rpc.Message) { m.Data = []byte("bye") }, ErrSignature, ErrSigned, ErrSignature},
			{"another topic", func(m *rpc.Message) { m.Topic = "other" }, ErrSignature, ErrSigned, ErrSignature},
			{"bare", func(m *rpc.Message) { m.From, m.Seqno, m.Signature, m.Key = nil, nil, nil, nil }, ErrNoSignature, nil, nil},
			{"bare but for a number", func(m *rpc.Message) { m.From, m.Signature, m.Key = nil, nil, nil }, ErrNoSignature, ErrSigned, nil},
			{"bare but for an empty author", func(m *rpc.Message) {
				m.From, m.Seqno, m.Signature, m.Key = []byte{}, nil, nil, nil
			}, ErrNoSignature, ErrSigned, nil},
		} {
			strict := Policy{Sign: true, Strict: true}
			made, err := strict.New(alice, "news", []byte("hello"), seqno)
			if err != nil {
				t.Fatal(err)
			}
			// Whoever is to blame may have signed other messages before.
			var known []*Authors
			for before := range 3 {
				authors := new(Authors)
				for range before {
					if err := check(strict, made, authors); err != nil {
						t.Fatal(err)
					}
				}
				known = append(known, authors)
			}
			tc.change(made)
			made.Encode()
			for policy, want := range map[string]error{
				"strict_sign": tc.strictSign, "strict_no_sign": tc.strictNo, "lax_sign": tc.lax, "lax_no_sign": tc.lax,
			} {
				for before, authors := range known {
					got := check(policies[policy], made, authors)
					if want == errAny && got != nil {
						continue
					}
					if !errors.Is(got, want) {
						t.Errorf("%v, %s, %s, after %d messages: got %v, want %v", kind, tc.name, policy, before, got, want)
					}
				}
			}
		}
	}
}

// errAny stands for any error.
var errAny = errors.New("any")

func TestNames(t *testing.T) {
	a := &rpc.Message{From: []byte{1}, Seqno: []byte{2}, Topic: "a", Data: []byte("x")}
	otherAuthor := &rpc.Message{From: []byte{3}, Seqno: []byte{2}, Topic: "a", Data: []byte("x")}
	otherTopic := &rpc.Message{From: []byte{1}, Seqno: []byte{2}, Topic: "b", Data: []byte("x")}
	otherData := &rpc.Message{From: []byte{1}, Seqno: []byte{2}, Topic: "a", Data: []byte("y")}
	for _, tc := range []struct {
		name                string
		author, topic, data bool // whether it makes a difference
		size                int
	}{
		{"from_seqno", true, false, false, 2},
		{"sha256", false, false, true, 32},
		{"sha256_topic", false, true, true, 20},
		{"first_8_bytes", false, false, true, 1},
	} {
		name, err := ParseName(tc.name)
		if err != nil {
			t.Fatal(err)
		}
		if len(name(a)) != tc.size {
			t.Errorf("%s has %d bytes, want %d", tc.name, len(name(a)), tc.size)
		}
		for what, c := range map[string]struct {
			m    *rpc.Message
			want bool
		}{"author": {otherAuthor, tc.author}, "topic": {otherTopic, tc.topic}, "data": {otherData, tc.data}} {
			if got := name(a) != name(c.m); got != c.want {
				t.Errorf("%s: another %s makes a difference: %v", tc.name, what, got)
			}
		}
	}
	name, err := ParseName("first_8_bytes")
	if err != nil {
		t.Fatal(err)
	}
	if got := name(&rpc.Message{Data: []byte("12345678 and more")}); got != "12345678" {
		t.Errorf("the ID is %q", got)
	}
	if _, err := ParseName("md5"); err == nil {
		t.Error("md5 is a name")
	}
	if _, err := ParsePolicy("none"); err == nil {
		t.Error("none is a policy")
	}
}

// The bytes that are signed are those of the specification.
func TestSignedBytes(t *testing.T) {
	m := &rpc.Message{From: []byte("F"), Data: []byte("D"), Seqno: []byte("S"), Topic: "T", HasTopic: true, Signature: []byte("x"), Key: []byte("y")}
	if got, want := m.AppendSigned([]byte(prefix)), []byte("libp2p-pubsub:\x0a\x01F\x12\x01D\x1a\x01S\x22\x01T"); !bytes.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// However many authors there are, some are remembered: none but those of right
// messages, and with their keys once they have signed again.
func TestEvil_G8_ManyAuthors(t *testing.T) {
	p := Policy{Sign: true, Strict: true}
	authors := new(Authors)
	steady := newSigner(t, peer.Ed25519)
	id := peer.FromPublicKey(steady.PublicKey())
	made, err := p.New(steady, "news", nil, seqno)
	if err != nil {
		t.Fatal(err)
	}
	forged := *made
	forged.Signature = make([]byte, 64)
	if err := check(p, &forged, authors); !errors.Is(err, ErrSignature) {
		t.Fatal(err)
	}
	if _, known := authors.find(id); known {
		t.Error("who has signed nothing is remembered")
	}
	for i := range 4 * maxAuthors {
		authors.remember(peer.ID(fmt.Sprint(i)), nil)
		if i%(maxAuthors/4) != 0 {
			continue
		}
		before, known := authors.find(id)
		if known != (i > 0) || (before != nil) != (i > maxAuthors/4) {
			t.Errorf("after %d authors: known %v, with a key %v", i, known, before != nil)
		}
		if err := check(p, made, authors); err != nil {
			t.Fatal(err)
		}
		if key, _ := authors.find(id); before != nil && key != before {
			t.Error("the key is prepared again")
		}
	}
	if n := len(authors.young) + len(authors.old); n > maxAuthors {
		t.Errorf("%d authors are remembered, of at most %d", n, maxAuthors)
	}
}

func BenchmarkVerify(b *testing.B) {
	p := Policy{Sign: true, Strict: true}
	m, err := p.New(newSigner(b, peer.Ed25519), "news", make([]byte, 256), seqno)
	if err != nil {
		b.Fatal(err)
	}
	for name, authors := range map[string]func() *Authors{
		"new author":   func() *Authors { return new(Authors) },
		"known author": sync.OnceValue(func() *Authors { return new(Authors) }),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := check(p, m, authors()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// An author whose key is out of bounds is refused before anything is verified with
// it, whether the ID is that key's or not.
func TestEvil_A1_RSAAuthor(t *testing.T) {
	for _, bits := range []int{1024, 8193, 16384} {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537})
		if err != nil {
			t.Fatal(err)
		}
		key := append([]byte{8, byte(peer.RSA), 0x12}, wire.AppendUvarint(nil, uint64(len(der)))...)
		key = append(key, der...)
		hash := sha256.Sum256(key)
		m := &rpc.Message{
			From: append([]byte{0x12, 32}, hash[:]...), Seqno: seqno[:], Topic: "news", HasTopic: true,
			Data: []byte("hello"), Signature: make([]byte, bits/8), Key: key,
		}
		for _, p := range []Policy{{Sign: true, Strict: true}, {Sign: true}} {
			if err := check(p, m, new(Authors)); !errors.Is(err, ErrKey) {
				t.Errorf("%d bits, %+v: %v, want %v", bits, p, err, ErrKey)
			}
		}
	}
}
