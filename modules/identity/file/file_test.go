// SPDX-License-Identifier: Apache-2.0 OR MIT

package file

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// load makes the module as the host does.
func load(t *testing.T, config string) (*File, error) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	one, err := core.One[core.KeySource](config).Load(ctx)
	if err != nil {
		return nil, err
	}
	return one.Module.(*File), nil
}

// configFor is the configuration for a path and more settings.
func configFor(path, more string) string {
	b, _ := json.Marshal(path)
	return `{"module": "file", "path": ` + string(b) + more + `}`
}

func newKey(t *testing.T, kind peer.KeyType) peer.PrivateKey {
	t.Helper()
	key, err := peer.GenerateKey(kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func write(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

func TestMakesAndKeepsKey(t *testing.T) {
	for name, kind := range map[string]peer.KeyType{
		"": peer.Ed25519, "ed25519": peer.Ed25519, "Secp256k1": peer.Secp256k1, "ecdsa": peer.ECDSA, "rsa": peer.RSA,
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XNODE_DATA", filepath.Join(t.TempDir(), "a", "b"))
			config := `{"module": "file"}`
			if name != "" {
				config = `{"module": "file", "type": "` + name + `"}`
			}
			f, err := load(t, config)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(core.DataDir(), "identity.key")
			if _, err := os.Stat(core.DataDir()); !os.IsNotExist(err) {
				t.Errorf("loading the module touched the disk: %v", err)
			}
			key, err := f.PrivateKey()
			if err != nil {
				t.Fatal(err)
			}
			if key.Type() != kind {
				t.Errorf("type %v", key.Type())
			}
			if again, err := f.PrivateKey(); err != nil || again != key {
				t.Errorf("the second call returns another key: %v", err)
			}
			next, err := load(t, config)
			if err != nil {
				t.Fatal(err)
			}
			if kept, err := next.PrivateKey(); err != nil || !kept.Public().Equal(key.Public()) {
				t.Errorf("the next start has another key: %v", err)
			}
			b, err := os.ReadFile(path)
			if err != nil || string(b) != string(peer.MarshalPrivateKey(key)) {
				t.Errorf("the file is not the key's message: %v", err)
			}
			for path, want := range map[string]fs.FileMode{path: 0o600, core.DataDir(): fs.ModeDir | 0o700} {
				if info, err := os.Stat(path); err != nil || info.Mode() != want {
					t.Errorf("%s: mode %v, %v, want %v", path, info.Mode(), err, want)
				}
			}
			if entries, err := os.ReadDir(core.DataDir()); err != nil || len(entries) != 1 {
				t.Errorf("%d files in the folder, %v", len(entries), err)
			}
		})
	}
}

func TestReadsBase64(t *testing.T) {
	key := newKey(t, peer.Ed25519)
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, base64.StdEncoding.EncodeToString(peer.MarshalPrivateKey(key))+"\n", 0o600)
	got, err := Read(path, false)
	if err != nil || !got.Public().Equal(key.Public()) {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	for name, test := range map[string]struct{ config, want string }{
		"unknown key":         {`{"module": "file", "pth": "x"}`, "pth"},
		"path of other type":  {`{"module": "file", "path": 1}`, "path"},
		"unknown type":        {`{"module": "file", "type": "dsa"}`, "type: key type \"dsa\", want ed25519"},
		"unknown placeholder": {`{"module": "file", "path": "{xnode.dta}/key"}`, "path: "},
		"empty placeholder":   {`{"module": "file", "path": "{env.XNODE_SURELY_NOT_SET}/key"}`, "path: "},
	} {
		if _, err := load(t, test.config); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q in it", name, err, test.want)
		}
	}
}

func TestNotProvisioned(t *testing.T) {
	if _, err := new(File).PrivateKey(); err == nil {
		t.Error("a key out of nowhere")
	}
}

// Many nodes that start at once with the same file agree on one key.
func TestCreateAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "identity.key")
	const nodes = 16
	ids := make([]peer.ID, nodes)
	var wg sync.WaitGroup
	for n := range nodes {
		f, err := load(t, configFor(path, ""))
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			key, err := f.PrivateKey()
			if err != nil {
				t.Error(err)
				return
			}
			ids[n] = peer.FromPublicKey(key.Public())
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("%v and %v", id, ids[0])
		}
	}
}
