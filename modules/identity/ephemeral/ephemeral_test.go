// SPDX-License-Identifier: Apache-2.0 OR MIT

package ephemeral

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// load makes the module as the host does; unload ends its configuration.
func load(t *testing.T, config string) (e *Ephemeral, unload func(), err error) {
	t.Helper()
	ctx, unload := caddy.NewContext(caddy.Context{Context: context.Background()})
	one, err := core.One[core.KeySource](config).Load(ctx)
	if err != nil {
		unload()
		return nil, nil, err
	}
	return one.Module.(*Ephemeral), unload, nil
}

// idOf returns the ID of the module's key after asking for it twice.
func idOf(t *testing.T, e *Ephemeral) peer.ID {
	t.Helper()
	one, err := e.PrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	two, err := e.PrivateKey()
	if err != nil || one != two {
		t.Fatalf("two keys, %v", err)
	}
	return peer.FromPublicKey(one.Public())
}

func TestKeyOfEveryType(t *testing.T) {
	for config, kind := range map[string]peer.KeyType{
		`{"module": "ephemeral"}`:                      peer.Ed25519,
		`{"module": "ephemeral", "type": "ed25519"}`:   peer.Ed25519,
		`{"module": "ephemeral", "type": "secp256k1"}`: peer.Secp256k1,
		`{"module": "ephemeral", "type": "ecdsa"}`:     peer.ECDSA,
		`{"module": "ephemeral", "type": "rsa"}`:       peer.RSA,
	} {
		e, unload, err := load(t, config)
		if err != nil {
			t.Fatal(err)
		}
		if key, err := e.PrivateKey(); err != nil || key.Type() != kind {
			t.Errorf("%s: %v, %v", config, key, err)
		}
		unload()
	}
}

func TestKeyOutlivesReload(t *testing.T) {
	const config = `{"module": "ephemeral"}`
	one, unloadOne, err := load(t, config)
	if err != nil {
		t.Fatal(err)
	}
	first := idOf(t, one)
	two, unloadTwo, err := load(t, config)
	if err != nil {
		t.Fatal(err)
	}
	unloadOne()
	if idOf(t, two) != first {
		t.Error("a reload changed the key")
	}
	other, unloadOther, err := load(t, `{"module": "ephemeral", "type": "secp256k1"}`)
	if err != nil {
		t.Fatal(err)
	}
	if idOf(t, other) == first {
		t.Error("two types share a key")
	}
	unloadOther()
	unloadTwo()
	three, unloadThree, err := load(t, config)
	if err != nil {
		t.Fatal(err)
	}
	defer unloadThree()
	if idOf(t, three) == first {
		t.Error("the key was kept though nobody used it any more")
	}
}

func TestZeroValueHasOwnKey(t *testing.T) {
	if one, other := idOf(t, new(Ephemeral)), idOf(t, new(Ephemeral)); one == other {
		t.Error("two nodes share a key")
	}
	if err := new(Ephemeral).Cleanup(); err != nil {
		t.Error(err)
	}
}

func TestMistakes(t *testing.T) {
	for config, want := range map[string]string{
		`{"module": "ephemeral", "type": "dsa"}`: `type: key type "dsa", want ed25519`,
		`{"module": "ephemeral", "type": 1}`:     "type",
		`{"module": "ephemeral", "kind": "rsa"}`: "kind",
	} {
		if _, _, err := load(t, config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", config, err, want)
		}
	}
	if _, err := (&Ephemeral{Type: "dsa"}).PrivateKey(); err == nil {
		t.Error("a key of an unknown type")
	}
}

func TestEvil_A12_KeyIsNotShown(t *testing.T) {
	e := new(Ephemeral)
	key, err := e.PrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		_, _ = fmt.Fprintf(&shown, verb+"\n", e)
	}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	shown.Write(b)
	raw := key.Raw()
	for _, secret := range []string{
		string(raw[:16]), fmt.Sprintf("%x", raw[:16]), strings.Trim(fmt.Sprint(raw[:16]), "[]"),
	} {
		if strings.Contains(shown.String(), secret) {
			t.Errorf("%q is shown", secret)
		}
	}
}
