// SPDX-License-Identifier: Apache-2.0 OR MIT

package certseed

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
)

func mustSeed(t *testing.T, identity core.Identity, label, dir string) [Size]byte {
	t.Helper()
	seed, err := Seed(identity, label, dir)
	if err != nil {
		t.Fatal(err)
	}
	return seed
}

func files(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// Another seed means other certificates, and addresses that no longer work.
func TestGolden(t *testing.T) {
	seed := mustSeed(t, coretest.NewIdentity(1), "webrtc-direct", t.TempDir())
	if got, want := hex.EncodeToString(seed[:]), "fd915cd1896fd986a4f15f2c6760a2eb41306f10ad27807368cc4ca519c01a3c"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSameEachTime(t *testing.T) {
	for _, kt := range []peer.KeyType{peer.Ed25519, peer.RSA, peer.ECDSA, peer.Secp256k1} {
		dir := filepath.Join(t.TempDir(), "new", "folder")
		id, other := coretest.GenerateIdentity(t, kt), coretest.GenerateIdentity(t, kt)
		seed := mustSeed(t, id, "a", dir)
		if mustSeed(t, id, "a", dir) != seed {
			t.Errorf("%s: another seed the second time", kt)
		}
		if mustSeed(t, id, "b", dir) == seed {
			t.Errorf("%s: the same seed for another label", kt)
		}
		if mustSeed(t, other, "a", dir) == seed {
			t.Errorf("%s: the same seed for another identity", kt)
		}
	}
}

func TestFileIsPrivate(t *testing.T) {
	dir := t.TempDir()
	mustSeed(t, coretest.GenerateIdentity(t, peer.ECDSA), "a", dir)
	entries := files(t, dir)
	if len(entries) != 1 {
		t.Fatalf("%d files are left, want 1", len(entries))
	}
	info, err := entries[0].Info()
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v", info.Mode())
	}
}

func TestSignedNeedsNoFolder(t *testing.T) {
	dir := t.TempDir()
	mustSeed(t, coretest.NewIdentity(1), "a", dir)
	if n := len(files(t, dir)); n != 0 {
		t.Errorf("%d files are left, want none", n)
	}
}

func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	id := coretest.GenerateIdentity(t, peer.Secp256k1)
	seeds := make([][Size]byte, 8)
	var wg sync.WaitGroup
	for i := range seeds {
		wg.Go(func() {
			var err error
			if seeds[i], err = Seed(id, "a", dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range seeds {
		if s != seeds[0] || s == [Size]byte{} {
			t.Fatalf("not all are the same: %x", seeds)
		}
	}
}

func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	id := coretest.GenerateIdentity(t, peer.ECDSA)
	mustSeed(t, id, "a", dir)
	path := filepath.Join(dir, files(t, dir)[0].Name())
	for content, want := range map[string]string{
		"":                               "0 bytes, not 32; delete it",
		"short":                          "5 bytes, not 32; delete it",
		strings.Repeat("long", Size):     "longer than 32 bytes",
		strings.Repeat("x", Size) + "\n": "longer than 32 bytes",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if seed, err := Seed(id, "a", dir); err == nil || !strings.Contains(err.Error(), path+": "+want) {
			t.Errorf("%q gives %x, %v; want %s", content, seed, err, want)
		}
	}
}

func TestEvil_X7_SeedThatOthersRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no permission bits")
	}
	dir := t.TempDir()
	id := coretest.GenerateIdentity(t, peer.Secp256k1)
	seed := mustSeed(t, id, "a", dir)
	path := filepath.Join(dir, files(t, dir)[0].Name())
	for mode, want := range map[os.FileMode]string{0o640: "others can read it", 0o606: "others can change it"} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if got, err := Seed(id, "a", dir); err == nil || !strings.Contains(err.Error(), want) || got == seed {
			t.Errorf("mode %o: %v, want %s", mode, err, want)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if mustSeed(t, id, "a", dir) != seed {
		t.Error("another seed after all that")
	}
}
