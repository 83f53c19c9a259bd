// SPDX-License-Identifier: Apache-2.0 OR MIT

package env

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/identity/internal/keytext"
)

func load(t *testing.T, config string) (*Env, error) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	one, err := core.One[core.KeySource](config).Load(ctx)
	if err != nil {
		return nil, err
	}
	return one.Module.(*Env), nil
}

func TestKeyFromVariable(t *testing.T) {
	for name, config := range map[string]string{
		"XNODE_IDENTITY": `{"module": "env"}`,
		"MY_KEY":         `{"module": "env", "var": "MY_KEY"}`,
	} {
		key, err := peer.GenerateKey(peer.Secp256k1, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(name, keytext.Encode(key)+"\n")
		e, err := load(t, config)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got, err := e.PrivateKey()
			if err != nil || !got.Public().Equal(key.Public()) {
				t.Errorf("%s: %v", name, err)
			}
			t.Setenv(name, "changed") // the first answer stays
		}
	}
}

func TestZeroValue(t *testing.T) {
	key := peer.Ed25519FromSeed([32]byte{1})
	t.Setenv(defaultVar, keytext.Encode(key))
	if got, err := new(Env).PrivateKey(); err != nil || !got.Public().Equal(key.Public()) {
		t.Error(err)
	}
}

func TestMistakes(t *testing.T) {
	key := keytext.Encode(peer.Ed25519FromSeed([32]byte{1}))
	for name, test := range map[string]struct{ config, value, validate, use string }{
		"not set":     {`{"module": "env"}`, "", "", "environment variable XNODE_IDENTITY is not set: put base64"},
		"not a key":   {`{"module": "env"}`, "hello", "environment variable XNODE_IDENTITY: not base64 of a libp2p private key", ""},
		"torn":        {`{"module": "env"}`, key[:50], "environment variable XNODE_IDENTITY: not base64", ""},
		"name":        {`{"module": "env", "var": "A=B"}`, key, "var: ", ""},
		"unknown key": {`{"module": "env", "name": "X"}`, key, "name", ""},
		"other type":  {`{"module": "env", "var": 1}`, key, "var", ""},
	} {
		t.Setenv(defaultVar, test.value)
		if test.value == "" {
			_ = os.Unsetenv(defaultVar) // t.Setenv restores it
		}
		e, err := load(t, test.config)
		if test.validate != "" {
			if err == nil || !strings.Contains(err.Error(), test.validate) {
				t.Errorf("%s: validate: %v, want %q in it", name, err, test.validate)
			} else if strings.Contains(err.Error(), key[10:20]) {
				t.Errorf("%s: %v shows the key", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := e.PrivateKey(); err == nil || !strings.Contains(err.Error(), test.use) {
			t.Errorf("%s: %v, want %q in it", name, err, test.use)
		}
	}
}

func TestEvil_A12_KeyIsNotShown(t *testing.T) {
	text := keytext.Encode(peer.Ed25519FromSeed([32]byte([]byte("a secret that nobody may ever see"))))
	t.Setenv(defaultVar, text)
	e, err := load(t, `{"module": "env"}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.PrivateKey(); err != nil {
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
	for _, secret := range []string{text[8:24], "a secret", "612073656372657420"} {
		if strings.Contains(shown.String(), secret) {
			t.Errorf("%q is shown", secret)
		}
	}
}
