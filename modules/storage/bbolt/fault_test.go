// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build linux

package bbolt

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/xnode-p2p/xnode/core"
)

// limitVar names the file of the process with a limit on the size of files.
const limitVar = "XNODE_TEST_LIMIT"

// fill writes until that fails, and returns the error and how much was written.
func fill(t *testing.T, table core.Table) (n int, err error) {
	t.Helper()
	for n = 0; n < 3000; n++ {
		if err := table.Apply(put(sampleKey(n), sampleValue(n)+strings.Repeat("x", 4000))); err != nil {
			return n, err
		}
	}
	return n, nil
}

// full fills a store of little room and then uses it.
func full(t *testing.T, b *Bbolt, path string) {
	t.Helper()
	table := opened(t, b, "test/full", core.Quota{})
	n, err := fill(t, table)
	if err == nil || n == 0 || !strings.Contains(err.Error(), path) {
		t.Fatalf("%d writes, then %v", n, err)
	}
	t.Logf("%d writes, then %v", n, err)
	for i := range n { // what was acknowledged is there, still
		if v, err := table.Get([]byte(sampleKey(i))); err != nil || !strings.HasPrefix(string(v), sampleValue(i)) {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
	if _, err := table.Get([]byte(sampleKey(n))); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("the entry that was refused: %v", err)
	}
	for range 5 { // an error each time, and nothing worse
		if err := table.Apply(put("large", strings.Repeat("x", 1<<20))); err == nil {
			t.Error("there is room after all")
		}
	}
	closed(t, b, table)
	if files := bad(t, path); len(files) > 0 {
		t.Errorf("put aside: %q", files)
	}
}

func TestEvil_K10_FileIsFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	b, log := started(t, path)
	b.store.setMaxSize(2 << 20)
	full(t, b, path)
	if info, err := os.Stat(path); err != nil || info.Size() > 2<<20 {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	// With more room it goes on, and with old entries gone too.
	b, _ = started(t, path)
	works(t, b)
	if lines := log.lines(); len(lines) > 0 {
		t.Errorf("%q", lines)
	}
}

func TestEvil_K10_DiskIsFull(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no small disk can be had: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(folder, "store.db")
	b, _ := started(t, path)
	full(t, b, path)
	again, log := started(t, path)
	table := opened(t, again, "test/full", core.Quota{})
	if v, err := table.Get([]byte(sampleKey(0))); err != nil || len(v) < 4000 {
		t.Error(err)
	}
	closed(t, again, table)
	if lines := log.lines(); len(lines) > 0 {
		t.Errorf("%q", lines)
	}
	// A disk on which there is no room for a new store.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "fill"), make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	none, log := started(t, path)
	works(t, none)
	inMemory(t, log, path)
}

// inMemory wants the one warning of a store that cannot be used.
func inMemory(t *testing.T, log *logged, reason string) {
	t.Helper()
	lines := log.lines()
	if len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], "will be lost") || !strings.Contains(lines[0], reason) {
		t.Errorf("said %q, want once %q", lines, reason)
	}
}

func TestEvil_K10_DiskIsReadOnly(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "store.db")
	if err := syscall.Mount("tmpfs", folder, "tmpfs", syscall.MS_RDONLY, "size=1m"); err != nil {
		t.Skipf("no disk can be had: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	})
	b, log := started(t, path)
	works(t, b)
	inMemory(t, log, "read-only file system")
}

// TestEvil_K10_FilesAreLimited has a process with a limit on the size of its files.
func TestEvil_K10_FilesAreLimited(t *testing.T) {
	if path := os.Getenv(limitVar); path != "" {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}); err != nil {
			t.Fatal(err)
		}
		b, _ := started(t, path)
		full(t, b, path)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "store.db")
	cmd := exec.Command(self, "-test.run=^TestEvil_K10_FilesAreLimited$")
	cmd.Env = append(os.Environ(), limitVar+"="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, log := started(t, path)
	works(t, b)
	if lines := log.lines(); len(lines) > 0 {
		t.Errorf("%q", lines)
	}
}

// Somebody else has the file: it is not torn, and not waited for without end.
func TestEvil_K10_LockedByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	first, _ := started(t, path)
	table := opened(t, first, "test/sample", core.Quota{})
	if err := table.Apply(put("a", "1")); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second, log := started(t, path) // of another node
	works(t, second)
	inMemory(t, log, "another process or another node of this one uses it")
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) || len(bad(t, path)) > 0 {
		t.Errorf("the file was changed: %v", err)
	}
	works(t, first)
	closed(t, first, table)
}

// What is at the path is left alone if it is no file.
func TestEvil_K10_NotAFile(t *testing.T) {
	for name, c := range map[string]struct {
		make func(path string) error
		says string
	}{
		"folder": {func(p string) error { return os.Mkdir(p, 0o700) }, "is not a regular file"},
		"pipe":   {func(p string) error { return syscall.Mkfifo(p, 0o600) }, "is not a regular file"},
		"device": {func(p string) error { return os.Symlink("/dev/zero", p) }, "is not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			b, log := started(t, path)
			works(t, b)
			inMemory(t, log, c.says)
			if len(bad(t, path)) > 0 || !exists(path) {
				t.Error("it was moved")
			}
		})
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b, log := started(t, filepath.Join(path, "store.db")) // in a folder that is none
	works(t, b)
	inMemory(t, log, "not a directory")
}

// Only the user can read the store, and enter the folder that was made for it.
func TestEvil_X7_OnlyTheUserReadsTheStore(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a", "b")
	path := filepath.Join(folder, "store.db")
	check := func(path string, want os.FileMode) {
		t.Helper()
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode().Perm(), err, want)
		}
	}
	b, _ := started(t, path)
	check(path, 0o600)
	check(folder, 0o700)
	check(filepath.Dir(folder), 0o700)
	closed(t, b)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	b, _ = started(t, path)
	check(path, 0o600)
	works(t, b)
	closed(t, b)
}

// Names of tables are no paths.
func TestEvil_X8_NamesOfTables(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "store.db")
	b, _ := started(t, path)
	for _, name := range []string{"../../outside", "/tmp/outside", "a\x00b", "..", strings.Repeat("n", 200)} {
		table := opened(t, b, name, core.Quota{})
		if err := table.Apply(put("a", name)); err != nil {
			t.Error(err)
		}
		if v, err := table.Get([]byte("a")); err != nil || string(v) != name {
			t.Errorf("%q, %v", v, err)
		}
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	}
	if list, err := os.ReadDir(folder); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// A disk that is damaged all the time is not filled with what was put aside.
func TestEvil_K10_DamagedAgainAndAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	b, log := started(t, path)
	table := opened(t, b, "test/sample", core.Quota{})
	for range asideAtMost + 3 {
		_ = table.Apply(put("a", "1"))
		if exists(path) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := table.Get([]byte("a")); err == nil {
			t.Error("no error")
		}
	}
	if n := len(bad(t, path)); n != asideAtMost {
		t.Errorf("%d files put aside", n)
	}
	lines := log.lines()
	if len(lines) != asideAtMost+1 || !strings.Contains(lines[asideAtMost], "nothing is stored any more") {
		t.Errorf("%q", lines)
	}
	if err := table.Apply(put("a", "1")); err == nil || !strings.Contains(err.Error(), "restart the node") {
		t.Error(err)
	}
	closed(t, b, table)
	b, _ = started(t, path)
	works(t, b)
}
