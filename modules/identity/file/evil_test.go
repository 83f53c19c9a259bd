// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build unix

package file

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/xnode-p2p/xnode/core/peer"
)

func TestEvil_X7_Refuses(t *testing.T) {
	good := string(peer.MarshalPrivateKey(newKey(t, peer.Ed25519)))
	rsa := string(peer.MarshalPrivateKey(newKey(t, peer.RSA)))
	file := func(content string, mode fs.FileMode) func(*testing.T, string) {
		return func(t *testing.T, path string) { write(t, path, content, mode) }
	}
	for name, test := range map[string]struct {
		make  func(t *testing.T, path string)
		more  string
		wants []string // in the error; PATH stands for the path
		allow bool     // accepted with allow_readable
	}{
		"others may read":  {file(good, 0o604), "", []string{"PATH: others can read it (mode 0604)", "chmod 600 PATH"}, true},
		"group may read":   {file(good, 0o640), "", []string{"others can read it (mode 0640)", "chmod 600 PATH"}, true},
		"group may enter":  {file(good, 0o610), "", []string{"mode 0610", "chmod 600 PATH"}, true},
		"others may write": {file(good, 0o602), "", []string{"others can change it (mode 0602)", "chmod 600 PATH"}, false},
		"symbolic link": {func(t *testing.T, path string) {
			write(t, path+".real", good, 0o600)
			if err := os.Symlink(path+".real", path); err != nil {
				t.Fatal(err)
			}
		}, "", []string{"PATH: is a symbolic link", "allow_readable"}, true},
		"link to nowhere": {func(t *testing.T, path string) {
			if err := os.Symlink(path+".real", path); err != nil {
				t.Fatal(err)
			}
		}, "", []string{"PATH: is a symbolic link"}, false},
		"folder": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "", []string{"PATH: is not a regular file"}, false},
		"pipe": {func(t *testing.T, path string) {
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "", []string{"PATH: is not a regular file"}, false},
		"empty":        {file("", 0o600), "", []string{"PATH: torn or not a key", "move it away"}, false},
		"torn":         {file(good[:len(good)/2], 0o600), "", []string{"PATH: torn or not a key", "backup"}, false},
		"zeros":        {file(string(make([]byte, 68)), 0o600), "", []string{"PATH: torn or not a key"}, false},
		"text":         {file("hello", 0o600), "", []string{"PATH: torn or not a key"}, false},
		"endless":      {file(strings.Repeat("A", 1<<20), 0o600), "", []string{"PATH: longer than 16384 bytes, so it is not what it should be"}, false},
		"PEM":          {file("-----BEGIN PRIVATE KEY-----\n", 0o600), "", []string{"PATH: a key in PEM"}, false},
		"another type": {file(rsa, 0o600), `, "type": "ed25519"`, []string{"PATH: holds a key of type RSA", "wants Ed25519", `remove "type"`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "identity.key")
			test.make(t, path)
			before, _ := os.ReadFile(filepath.Clean(onlyFile(path)))

			_, err := load(t, configFor(path, test.more))
			for _, want := range test.wants {
				want = strings.ReplaceAll(want, "PATH", path)
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("validate: %v, want %q in it", err, want)
				}
			}
			unchecked := File{Path: path, path: path, kind: peer.Ed25519}
			if strings.Contains(test.more, "type") {
				unchecked.Type = "ed25519"
			}
			if _, err := unchecked.PrivateKey(); err == nil {
				t.Error("the key is used")
			}
			f, err := load(t, configFor(path, test.more+`, "allow_readable": true`))
			if err == nil {
				_, err = f.PrivateKey()
			}
			if (err == nil) != test.allow {
				t.Errorf("with allow_readable: %v", err)
			}
			after, _ := os.ReadFile(filepath.Clean(onlyFile(path)))
			if !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

// onlyFile is the path if it can be read without waiting, and else nothing.
func onlyFile(path string) string {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return os.DevNull
	}
	return path
}

func TestEvil_X7_NeverOverwrites(t *testing.T) {
	dir := t.TempDir()
	for name, make := range map[string]func(path string) error{
		"file":        func(p string) error { return os.WriteFile(p, []byte("precious"), 0o600) },
		"broken link": func(p string) error { return os.Symlink(filepath.Join(dir, "elsewhere"), p) },
		"folder":      func(p string) error { return os.Mkdir(p, 0o700) },
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", ""))
		key := newKey(t, peer.Ed25519)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		if err := Create(path, key); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := os.ReadFile(onlyFile(path)); err != nil || len(b) > 0 && string(b) != "precious" {
			t.Errorf("%s: overwritten: %v", name, err)
		}
		if _, err := os.Lstat(filepath.Join(dir, "elsewhere")); err == nil {
			t.Errorf("%s: written through the link", name)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestCreateInWorkingFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	key := newKey(t, peer.Ed25519)
	if err := Create("my.key", key); err != nil {
		t.Fatal(err)
	}
	if got, err := Read("my.key", false); err != nil || !got.Public().Equal(key.Public()) {
		t.Error(err)
	}
}

func TestEvil_A12_KeyIsNotShown(t *testing.T) {
	for _, kind := range []peer.KeyType{peer.Ed25519, peer.Secp256k1, peer.ECDSA, peer.RSA} {
		f, err := load(t, configFor(filepath.Join(t.TempDir(), "key"), `, "type": "`+kind.String()+`"`))
		if err != nil {
			t.Fatal(err)
		}
		key, err := f.PrivateKey()
		if err != nil {
			t.Fatal(err)
		}
		var shown bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			_, _ = fmt.Fprintf(&shown, verb+"\n", f)
		}
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(b)
		slog.New(slog.NewJSONHandler(&shown, nil)).Info("module", "identity", f)
		slog.New(slog.NewTextHandler(&shown, nil)).Info("module", "identity", f)
		raw := key.Raw()
		for name, secret := range map[string]string{
			"bytes":  string(raw[:32]),
			"hex":    hex.EncodeToString(raw[:16]),
			"base64": base64.StdEncoding.EncodeToString(raw[:15]),
			"list":   strings.Trim(fmt.Sprint(raw[:16]), "[]"),
		} {
			if strings.Contains(strings.ToLower(shown.String()), strings.ToLower(secret)) {
				t.Errorf("%v: %s of the key is shown", kind, name)
			}
		}
	}
}
