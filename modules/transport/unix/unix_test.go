// SPDX-License-Identifier: Apache-2.0 OR MIT

package unix

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

const testID = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"

func load(t testing.TB, config string) *Transport {
	t.Helper()
	return coretest.MustLoad[*Transport](t, "unix", config)
}

// folder is a folder whose path is short, which those of the tests may not be.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "x")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func socketPath(t testing.TB) string { return filepath.Join(folder(t), "x.sock") }

func addrOf(path string) ma.Multiaddr { return ma.StringCast("/unix" + path) }

func listen(t testing.TB, tr *Transport, path string) manet.Listener {
	t.Helper()
	l, err := tr.Listen(addrOf(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestContract(t *testing.T) {
	tr := coretest.MustLoad[core.RawTransport](t, "unix", `{}`)
	coretest.TestRawTransport(t, tr, addrOf(socketPath(t)), coretest.RawOptions{
		HiddenDialer: true,
		New: func(t *testing.T) core.RawTransport {
			return coretest.MustLoad[core.RawTransport](t, "unix", `{}`)
		},
	})
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service { return load(t, `{}`) })
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Transport](t, "unix", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "group", JSON: `{"mode": "0660"}`},
		{Name: "without a zero", JSON: `{"mode": "777"}`},
		{Name: "number", JSON: `{"mode": 600}`, WantErr: "cannot unmarshal number"},
		{Name: "text", JSON: `{"mode": "rw"}`, WantErr: `mode "rw": want permissions in octal, such as "0660"`},
		{Name: "decimal", JSON: `{"mode": "0690"}`, WantErr: "in octal"},
		{Name: "more than permissions", JSON: `{"mode": "4777"}`, WantErr: "in octal"},
		{Name: "for nobody", JSON: `{"mode": "0400"}`, WantErr: "its own user could not connect"},
		{Name: "unknown key", JSON: `{"path": "/x"}`, WantErr: `unknown field "path"`},
	})
}

func TestEndpoints(t *testing.T) {
	for text, want := range map[string]string{
		"/unix/run/a.sock":                                   "/run/a.sock",
		"/unix/a":                                            "/a",
		"/unix/run/a.sock/p2p/" + testID:                     "/run/a.sock",
		"/unix/p2p/" + testID:                                "/p2p/" + testID, // no path would be left
		"/unix/run/a.sock/p2p/somebody":                      "/run/a.sock/p2p/somebody",
		"/unix/run/p2p/" + testID + "/x":                     "/run/p2p/" + testID + "/x",
		"/unix/" + strings.Repeat("x", maxPath-1):            "/" + strings.Repeat("x", maxPath-1),
		"/unix/" + strings.Repeat("x", maxPath):              "",
		"/unix/a/p2p/" + testID + "/p2p/" + testID:           "",
		"/unix/run/../a.sock":                                "",
		"/unix/./a.sock":                                     "",
		"/unix//run/a.sock":                                  "",
		"/unix/run/a\x00b":                                   "",
		"/ip4/127.0.0.1/tcp/1":                               "",
		"/ip4/127.0.0.1/unix/run/a.sock":                     "",
		"/unix/" + strings.Repeat("x", 107) + "/p2p/12D3Koo": "",
	} {
		got, err := parse(ma.StringCast(text))
		switch {
		case want == "" && err == nil:
			t.Errorf("%s: %q, want an error", text, got.path)
		case want != "" && (err != nil || got.path != want || got.addr.String() != "/unix"+want):
			t.Errorf("%s: %q (%v), %v; want %q", text, got.path, got.addr, err, want)
		}
	}
}

func TestErrorsAreClear(t *testing.T) {
	tr := load(t, `{}`)
	dir := folder(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(dir, strings.Repeat("x", maxPath))
	for path, want := range map[string]string{
		file:                             "listen /unix" + file + ": there is a file that is not a socket",
		filepath.Join(dir, "no", "sock"): "the folder of the socket must exist: no such file or directory",
		long:                             fmt.Sprintf("and the system takes %d", maxPath),
		dir + "/./a":                     "the path is not absolute and plain: want /unix" + dir + "/a",
		dir + "/a/p2p/" + testID:         "leave out /p2p/" + testID,
	} {
		l, err := tr.Listen(addrOf(path))
		if err == nil {
			l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if b, err := os.ReadFile(file); string(b) != "precious" || err != nil {
		t.Errorf("the file: %q, %v", b, err)
	}
	if _, err := tr.Dial(t.Context(), addrOf(filepath.Join(dir, "nobody"))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("dial nothing: %v", err)
	}
}

// An address with a peer ID, in the one form that its text has, can be dialled.
func TestDialWithPeerID(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	tr, path := load(t, `{}`), socketPath(t)
	l := listen(t, tr, path)
	a := ma.StringCast("/unix" + path + "/p2p/" + testID)
	if !tr.Match(a) {
		t.Errorf("does not match %s", a)
	}
	c, err := tr.Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !c.RemoteMultiaddr().Equal(l.Multiaddr()) {
		t.Errorf("connected to %s", c.RemoteMultiaddr())
	}
}

func TestSocketFile(t *testing.T) {
	for config, want := range map[string]fs.FileMode{`{}`: 0o600, `{"mode": "0666"}`: 0o666, `{"mode": "0700"}`: 0o700} {
		path := socketPath(t)
		l := listen(t, load(t, config), path)
		info, err := os.Stat(path)
		if err != nil || info.Mode() != fs.ModeSocket|want {
			t.Errorf("%s: mode %v, %v", config, info.Mode(), err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file is left: %v", err)
		}
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := socketPath(t)
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	tr := load(t, `{}`)
	listen(t, tr, path)
	c, err := tr.Dial(t.Context(), addrOf(path))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// The socket of another process is left alone, and its file too.
func TestLiveSocketIsInUse(t *testing.T) {
	path := socketPath(t)
	other, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, err = load(t, `{}`).Listen(addrOf(path))
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "somebody listens there: address already in use") {
		t.Errorf("%v, want that the address is in use", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// A file that somebody else has put in the socket's place outlives it.
func TestForeignFileIsNotRemoved(t *testing.T) {
	path := socketPath(t)
	l := listen(t, load(t, `{}`), path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// The permissions are those of the newest instance, also when it goes again.
func TestReloadChangesTheMode(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	node := coretest.FakeNodes(t, 1)[0]
	started := func(config string) *Transport {
		tr := load(t, config)
		if err := tr.Start(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		return tr
	}
	path := socketPath(t)
	wantMode := func(want fs.FileMode) {
		t.Helper()
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("mode %v, %v, want %v", info.Mode(), err, want)
		}
	}
	first := listen(t, started(`{}`), path)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	wantMode(0o600)
	second := listen(t, started(`{"mode": "0660"}`), path)
	wantMode(0o660)
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	wantMode(0o600)
	listen(t, started(`{"mode": "0606"}`), path)
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	wantMode(0o606)
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("the socket is another one (%v)", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"/unix/run/a.sock", "/unix/a/p2p/" + testID, "/unix/a/p2p/" + testID + "/p2p/" + testID, "/unix/../x", "/ip4/1.2.3.4/tcp/1"} {
		f.Add(ma.StringCast(text).Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ma.NewMultiaddrBytes(b)
		if err != nil {
			return
		}
		to, err := parse(a)
		if err != nil {
			return
		}
		if !filepath.IsAbs(to.path) || len(to.path) > maxPath || to.path != filepath.Clean(to.path) {
			t.Errorf("%s: %q", a, to.path)
		}
		if again, err := parse(to.addr); err != nil || again.path != to.path {
			t.Errorf("%s: %q, then %q, %v", a, to.path, again.path, err)
		}
	})
}

func BenchmarkDial(b *testing.B) {
	tr, path := load(b, `{}`), socketPath(b)
	l := listen(b, tr, path)
	b.ReportAllocs()
	for b.Loop() {
		c, err := tr.Dial(b.Context(), l.Multiaddr())
		if err != nil {
			b.Fatal(err)
		}
		a, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
		a.Close()
	}
}

func BenchmarkThroughput(b *testing.B) {
	tr, path := load(b, `{}`), socketPath(b)
	l := listen(b, tr, path)
	c, err := tr.Dial(b.Context(), l.Multiaddr())
	if err != nil {
		b.Fatal(err)
	}
	a, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(io.Discard, a) })
	p := make([]byte, 64<<10)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, err := c.Write(p); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
	wg.Wait()
	a.Close()
}
