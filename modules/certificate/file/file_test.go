// SPDX-License-Identifier: Apache-2.0 OR MIT

package file

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

const day = 24 * time.Hour

// pair is a certificate and its key in PEM.
type pair struct{ cert, key []byte }

// newPair makes a certificate for names that is valid around now.
func newPair(t *testing.T, from, to time.Duration, names ...string) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(from),
		NotAfter:     time.Now().Add(to),
		DNSNames:     names,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

// files are where a test keeps a pair.
type files struct{ cert, key string }

func newFiles(t *testing.T, p pair) files {
	t.Helper()
	dir := t.TempDir()
	f := files{filepath.Join(dir, "node.pem"), filepath.Join(dir, "node.key")}
	f.write(t, p)
	return f
}

func (f files) write(t *testing.T, p pair) {
	t.Helper()
	for path, b := range map[string][]byte{f.cert: p.cert, f.key: p.key} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (f files) config() string {
	return fmt.Sprintf(`{"cert_file": %q, "key_file": %q}`, f.cert, f.key)
}

func TestConfig(t *testing.T) {
	good := newFiles(t, newPair(t, -day, 30*day, "example.com"))
	coretest.TestConfigs[core.CertificateSource](t, "file", []coretest.Config{
		{Name: "good", JSON: good.config()},
		{Name: "readable is allowed", JSON: fmt.Sprintf(`{"cert_file": %q, "key_file": %q, "allow_readable": true}`, good.cert, good.key)},
		{Name: "empty", JSON: `{}`, WantErr: "cert_file: the path of the file is missing"},
		{Name: "no key", JSON: fmt.Sprintf(`{"cert_file": %q}`, good.cert), WantErr: "key_file: the path of the file is missing"},
		{Name: "placeholder", JSON: `{"cert_file": "{env.XNODE_TEST_NONE}", "key_file": "x"}`, WantErr: "cert_file: "},
		{Name: "unknown key", JSON: `{"cert": "x"}`, WantErr: `unknown field "cert"`},
	})
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	fit, other := newPair(t, -day, 30*day), newPair(t, -day, 30*day)
	for name, tc := range map[string]struct {
		pair    pair
		break_  func(t *testing.T, f files)
		wantErr string
	}{
		"expired":        {pair: newPair(t, -30*day, -day), wantErr: "node.pem: the certificate has ended at"},
		"not yet valid":  {pair: newPair(t, day, 30*day), wantErr: "node.pem: the certificate is not valid before"},
		"another's key":  {pair: pair{fit.cert, other.key}, wantErr: "not a certificate and its key: tls: private key does not match"},
		"swapped":        {pair: pair{fit.key, fit.cert}, wantErr: "not a certificate and its key"},
		"no certificate": {pair: pair{[]byte("hello"), fit.key}, wantErr: "not a certificate and its key"},
		"missing": {pair: fit, wantErr: "node.key: no such file", break_: func(t *testing.T, f files) {
			if err := os.Remove(f.key); err != nil {
				t.Fatal(err)
			}
		}},
		"key readable by others": {pair: fit, wantErr: "node.key: others can read it (mode 0640): run chmod 600", break_: chmod(0o640)},
		"key writable by others": {pair: fit, wantErr: "node.key: others can change it (mode 0622): run chmod 600", break_: chmod(0o622)},
		"folder": {pair: fit, wantErr: "node.pem: is not a regular file", break_: func(t *testing.T, f files) {
			if err := os.Remove(f.cert); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(f.cert, 0o700); err != nil {
				t.Fatal(err)
			}
		}},
		"too large": {pair: pair{bytes.Repeat([]byte{'x'}, maxSize+1), fit.key}, wantErr: "limit 1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t, tc.pair)
			if tc.break_ != nil {
				tc.break_(t, f)
			}
			_, err := coretest.Load[*File](t, "file", f.config())
			if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("got %v, want an error with %q", err, tc.wantErr)
			}
		})
	}
}

func chmod(mode os.FileMode) func(*testing.T, files) {
	return func(t *testing.T, f files) {
		if err := os.Chmod(f.key, mode); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLinksAreFollowed(t *testing.T) {
	f := newFiles(t, newPair(t, -day, 30*day, "one.example"))
	link := files{f.cert + ".link", f.key + ".link"}
	for to, from := range map[string]string{f.cert: link.cert, f.key: link.key} {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	coretest.MustLoad[*File](t, "file", link.config())
}

// TestReload has the files change under a running node. The time is that of the
// calls of refresh.
func TestReload(t *testing.T) {
	one, two := newPair(t, -day, 30*day, "one.example", "*.one.example", "localhost"), newPair(t, -day, 30*day, "two.example")
	f := newFiles(t, one)
	m := coretest.MustLoad[*File](t, "file", f.config())
	var log bytes.Buffer
	m.log = slog.New(slog.NewTextHandler(&log, nil))
	now := time.Now()
	at := func(after time.Duration) (name string, changed bool) {
		t.Helper()
		c, changed := m.refresh(now.Add(after))
		return c.Leaf.DNSNames[0], changed
	}
	want := func(after time.Duration, wantName string, wantChanged bool) {
		t.Helper()
		if name, changed := at(after); name != wantName || changed != wantChanged {
			t.Errorf("after %s: %s, %v; want %s, %v", after, name, changed, wantName, wantChanged)
		}
	}
	if diff := cmp.Diff([]string{"one.example"}, m.ServerNames(netip.Addr{})); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	f.write(t, pair{two.cert, one.key}) // half of it
	want(time.Second, "one.example", false)
	want(6*time.Second, "one.example", false)
	want(12*time.Second, "one.example", false)
	if n := strings.Count(log.String(), "cannot be used"); n != 1 {
		t.Errorf("logged %d times, want once: %s", n, log.String())
	}
	f.write(t, two)
	want(16*time.Second, "one.example", false) // not looked at yet
	want(20*time.Second, "two.example", true)
	want(30*time.Second, "two.example", false)
	chmod(0o644)(t, f) // does not matter: it is loaded
	want(40*time.Second, "two.example", false)
	if diff := cmp.Diff([]string{"two.example"}, m.ServerNames(netip.Addr{})); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestWatch(t *testing.T) {
	f := newFiles(t, newPair(t, -day, 30*day, "one.example"))
	m := coretest.MustLoad[*File](t, "file", f.config())
	calls := 0
	stop := m.Watch(func() { calls++ })
	f.write(t, newPair(t, -day, 30*day, "two.example"))
	m.checked = time.Time{} // long ago
	for range 2 {
		if _, err := m.Certificate(nil); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 1 {
		t.Errorf("called %d times, want once", calls)
	}
	stop()
	f.write(t, newPair(t, -day, 30*day, "three.example"))
	m.checked = time.Time{}
	if _, err := m.Certificate(nil); err != nil || calls != 1 {
		t.Errorf("called %d times after stop, %v", calls, err)
	}
}

func TestWarnsOfTheEnd(t *testing.T) {
	f := newFiles(t, newPair(t, -day, 8*day))
	m := coretest.MustLoad[*File](t, "file", f.config())
	var log bytes.Buffer
	m.log = slog.New(slog.NewTextHandler(&log, nil))
	for after, want := range map[time.Duration]int{6 * time.Second: 0, 25 * time.Hour: 1} {
		log.Reset()
		m.warned = time.Time{}
		m.refresh(time.Now().Add(after))
		m.checked = time.Time{}
		m.refresh(time.Now().Add(after))
		if n := strings.Count(log.String(), "is about to end"); n != want {
			t.Errorf("after %s: warned %d times, want %d", after, n, want)
		}
	}
	m.checked = time.Time{}
	if c, _ := m.refresh(time.Now().Add(100 * day)); c == nil {
		t.Error("a certificate that has ended is not shown any more")
	}
}
