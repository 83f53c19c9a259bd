// SPDX-License-Identifier: Apache-2.0 OR MIT

package pnet

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// testKey is a key whose fingerprint kubo and rust-libp2p agree on.
const (
	testKey         = "6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef683"
	testFingerprint = "45fc986bbc9388a11d939df26f730f0c"
)

func keyText(encoding, key string) string { return protocol + "\n/" + encoding + "/\n" + key }

// keyFile writes a file and returns its path.
func keyFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "swarm.key")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func config(path string) string { return fmt.Sprintf(`{"key_file": %q}`, path) }

func load(t testing.TB) *Network {
	t.Helper()
	return coretest.MustLoad[*Network](t, "pnet", config(keyFile(t, keyText("base16", testKey))))
}

func rawKey() string {
	b, _ := hex.DecodeString(testKey) // it is hexadecimal
	return string(b)
}

func TestConfig(t *testing.T) {
	good := keyText("base16", testKey)
	readable, writable, link := keyFile(t, good), keyFile(t, good), filepath.Join(t.TempDir(), "link")
	for path, mode := range map[string]os.FileMode{readable: 0o644, writable: 0o622} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(readable, link); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "swarm.key")
	t.Setenv("XNODE_DATA", filepath.Dir(missing))
	coretest.TestConfigs[core.Security](t, "pnet", []coretest.Config{
		{Name: "good", JSON: config(keyFile(t, good))},
		{Name: "readable and allowed", JSON: fmt.Sprintf(`{"key_file": %q, "allow_readable": true}`, readable)},
		{Name: "link and allowed", JSON: fmt.Sprintf(`{"key_file": %q, "allow_readable": true}`, link)},
		{Name: "default, missing", JSON: `{}`, WantErr: missing + ": there is no such file"},
		{Name: "missing", JSON: config(missing), WantErr: "there is no such file"},
		{Name: "folder", JSON: config(t.TempDir()), WantErr: "is not a regular file"},
		{Name: "readable", JSON: config(readable), WantErr: "others can read it (mode 0644)"},
		{Name: "writable", JSON: fmt.Sprintf(`{"key_file": %q, "allow_readable": true}`, writable), WantErr: "others can change it"},
		{Name: "link", JSON: config(link), WantErr: "is a symbolic link"},
		{Name: "empty", JSON: config(keyFile(t, "")), WantErr: "the first line is not /key/swarm/psk/1.0.0/"},
		{Name: "too long", JSON: config(keyFile(t, strings.Repeat("x", 513))), WantErr: "longer than 512 bytes"},
		{Name: "placeholder", JSON: `{"key_file": "{xnode.dat}/swarm.key"}`, WantErr: "key_file"},
		{Name: "the key itself", JSON: `{"key": "x"}`, WantErr: `unknown field "key"`},
	})
}

func TestKeyFormats(t *testing.T) {
	standard := base64.StdEncoding.EncodeToString([]byte(rawKey()))
	for name, text := range map[string]string{
		"base16":            keyText("base16", testKey),
		"base16, newline":   keyText("base16", testKey+"\n"),
		"base16, upper":     keyText("base16", strings.ToUpper(testKey)),
		"base16, windows":   strings.ReplaceAll(keyText("base16", testKey+"\n"), "\n", "\r\n"),
		"base64":            keyText("base64", standard+"\n"),
		"bin":               keyText("bin", rawKey()),
		"bin, with newline": keyText("bin", rawKey()+"\n"),
	} {
		key, err := parseKey([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := fingerprint(key()); got != testFingerprint {
			t.Errorf("%s: fingerprint %s, want %s", name, got, testFingerprint)
		}
	}
}

func TestEvil_A12_BadKeysAreNotShown(t *testing.T) {
	for name, row := range map[string]struct{ text, want string }{
		"no header":        {testKey, "the first line"},
		"other header":     {"/key/swarm/psk/2.0.0/\n/base16/\n" + testKey, "the first line"},
		"header twice":     {protocol + "\n" + protocol + "\n/base16/\n" + testKey, "the second line"},
		"no encoding":      {protocol + "\n" + testKey, "the second line"},
		"other encoding":   {keyText("base58", testKey), "the second line"},
		"bad base16":       {keyText("base16", testKey[:63]+"~"), "what follows /base16/ is not encoded so"},
		"odd base16":       {keyText("base16", testKey[:63]), "what follows /base16/ is not encoded so"},
		"bad base64":       {keyText("base64", testKey[:63]+"~"), "what follows /base64/ is not encoded so"},
		"base16 as base64": {keyText("base64", testKey), "the key has 48 bytes, want 32"},
		"short":            {keyText("base16", testKey[:62]), "the key has 31 bytes, want 32"},
		"long":             {keyText("base16", testKey+"00"), "the key has 33 bytes, want 32"},
		"short bin":        {keyText("bin", rawKey()[:31]), "the key has 31 bytes, want 32"},
		"long bin":         {keyText("bin", rawKey()+"x"), "the key has 33 bytes, want 32"},
		"nothing":          {keyText("base16", ""), "the key has 0 bytes, want 32"},
	} {
		_, err := coretest.Load[core.Security](t, "pnet", config(keyFile(t, row.text)))
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
			continue
		}
		for _, part := range []string{testKey[:8], testKey[24:32], "~", rawKey()[:4]} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v: shows a part of the key", name, err)
			}
		}
	}
}

// Nothing that prints the module or a connection shows the key.
func TestEvil_A12_KeyIsNotShown(t *testing.T) {
	n := load(t)
	raw, _ := memnet.Pipe()
	c, err := n.Protect(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, v := range []any{n, *n, c, n.key, []any{n}, struct{ N *Network }{n}} {
		fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d\n", v, v, v, v, v, v, v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("text", "value", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "value", v)
	}
	b, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	decimal := strings.Trim(fmt.Sprint([]byte(rawKey()[:4])), "[]")
	stream := c.(*conn).out.keystream.key
	for name, part := range map[string]string{
		"the key": rawKey()[:4], "in hexadecimal": testKey[:8], "in numbers": decimal, "in Go's syntax": "0x61, 0x89",
		"in base64":            base64.StdEncoding.EncodeToString([]byte(rawKey()))[:8],
		"a connection's key":   hex.EncodeToString(stream[:4]),
		"that one, in numbers": strings.Trim(fmt.Sprint(stream[:4]), "[]"),
	} {
		if strings.Contains(strings.ToLower(out.String()), strings.ToLower(part)) {
			t.Errorf("%s is shown in: %s", name, out.String())
		}
	}
	if !strings.Contains(out.String(), testFingerprint) {
		t.Error("the fingerprint is nowhere")
	}
}

func TestNotProvisioned(t *testing.T) {
	n := new(Network)
	if c, err := n.Protect(nil); err == nil {
		t.Errorf("protected by no key: %v", c)
	}
	if got := n.Fingerprint(); got != "" {
		t.Errorf("fingerprint %q of no key", got)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte(keyText("base16", testKey)))
	f.Add([]byte(keyText("bin", rawKey()+"\r\n")))
	f.Add([]byte(protocol + "\r\n/base64/\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if key, err := parseKey(b); (err == nil) != (key != nil) {
			t.Errorf("%q: %v, %v", b, key != nil, err)
		}
	})
}
