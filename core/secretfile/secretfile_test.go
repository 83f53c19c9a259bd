// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build unix

package secretfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

var plain = Options{Limit: 100}

// put makes a file that is fit to be read.
func put(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	chmod := func(mode fs.FileMode) func(string) error {
		return func(path string) error { return os.Chmod(path, mode) }
	}
	link := func(path string) error {
		if err := os.Rename(path, path+".real"); err != nil {
			return err
		}
		return os.Symlink(path+".real", path)
	}
	for name, c := range map[string]struct {
		change  func(path string) error
		options Options
		want    string // of the error; empty for none
	}{
		"fit":                 {nil, plain, ""},
		"as long as may be":   {nil, Options{Limit: 8}, ""},
		"too long":            {nil, Options{Limit: 7}, "longer than 7 bytes"},
		"of the group":        {chmod(0o640), plain, "others can read it (mode 0640): run chmod 600"},
		"of the group, asked": {chmod(0o640), Options{Limit: 100, Readable: true}, ""},
		"of everybody":        {chmod(0o606), Options{Limit: 100, Readable: true}, "others can change it (mode 0606)"},
		"link":                {link, plain, "is a symbolic link: name the file itself"},
		"link, asked":         {link, Options{Limit: 100, Link: true}, ""},
		"link to nothing": {func(path string) error { return errors.Join(os.Remove(path), os.Symlink("nowhere", path)) },
			Options{Limit: 100, Link: true}, "is a symbolic link that leads nowhere"},
		"folder": {func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, plain, "is not a regular file"},
		"pipe":   {func(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) }, plain, "is not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			put(t, path)
			if c.change != nil {
				if err := c.change(path); err != nil {
					t.Fatal(err)
				}
			}
			b, err := Read(path, c.options)
			switch {
			case c.want == "":
				if err != nil || string(b) != "precious" {
					t.Errorf("%q, %v", b, err)
				}
			case err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), path):
				t.Errorf("%v, want %s: … %s", err, path, c.want)
			case strings.Contains(err.Error(), "precious"):
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
	if _, err := Read(filepath.Join(t.TempDir(), "nothing"), plain); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// owned is a file of somebody else.
type owned struct {
	fs.FileInfo
	uid uint32
}

func (o owned) Sys() any { return &syscall.Stat_t{Uid: o.uid} }

func TestEvil_X7_OtherOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	put(t, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	self := os.Geteuid()
	if err := check(path, owned{info, uint32(self)}, false); err != nil {
		t.Errorf("own file: %v", err)
	}
	err = check(path, owned{info, uint32(self) + 1}, false)
	want := fmt.Sprintf("%s: belongs to user %d, not to %d who runs this: run chown %d %s", path, self+1, self, self, path)
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := check(path, owned{info, uint32(self) + 1}, true); err != nil {
		t.Errorf("asked for: %v", err)
	}
}

// Somebody else is faster between the first look and the last step.
func TestEvil_X7_NeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	err := write(path, []byte("new"), publish, func(step string) {
		if step == "name" {
			put(t, path)
		}
	})
	if !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if err := Create(path, []byte("new")); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if b, err := Read(path, plain); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "secret")
	for _, content := range []string{"one", "another"} {
		if err := Replace(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if b, err := Read(path, plain); err != nil || string(b) != content {
			t.Errorf("%q, %v", b, err)
		}
	}
}

// TestEvil_X7_Killed kills a process at each step of writing a file. After that
// there is the whole file or the one before, and the next write works.
func TestEvil_X7_Killed(t *testing.T) {
	const pathVar, stepVar, newVar = "XNODE_TEST_PATH", "XNODE_TEST_STEP", "XNODE_TEST_NEW"
	content := bytes.Repeat([]byte("secret"), 10)
	if path := os.Getenv(pathVar); path != "" {
		last, _ := strconv.Atoi(os.Getenv(stepVar))
		finish := os.Rename
		if os.Getenv(newVar) != "" {
			finish = publish
		}
		n := 0
		err := write(path, content, finish, func(string) {
			if n++; n > last {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, isNew := range []bool{true, false} {
		for step, made := 0, 0; ; step++ {
			path := filepath.Join(t.TempDir(), "data", "secret")
			env := append(os.Environ(), pathVar+"="+path, stepVar+"="+strconv.Itoa(step))
			if isNew {
				env = append(env, newVar+"=1")
			} else if err := Create(path, []byte("before")); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self, "-test.run=^TestEvil_X7_Killed$")
			cmd.Env = env
			died := cmd.Run() != nil
			b, err := Read(path, plain)
			switch {
			case err == nil && bytes.Equal(b, content):
				made++
			case err == nil && !isNew && string(b) == "before", errors.Is(err, fs.ErrNotExist) && isNew:
			default:
				t.Errorf("step %d: %q, %v", step, b, err)
			}
			if err := Replace(path, content); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			if !died {
				if step < 5 || made < 2 || made > step {
					t.Errorf("%d steps, in %d the file was there", step, made)
				}
				break
			}
		}
	}
}

func TestStaleTemporaryFilesGo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "id[1]*.key")
	stale := filepath.Join(dir, ".id[1]*.key.123.tmp")
	other := filepath.Join(dir, ".other.key.123.tmp")
	put(t, stale)
	put(t, other)
	if err := Create(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stale file: %v", err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("somebody else's file: %v", err)
	}
}

func TestCreateInWorkingFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := Create("secret", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if b, err := Read("secret", plain); err != nil || string(b) != "new" {
		t.Errorf("%q, %v", b, err)
	}
}
