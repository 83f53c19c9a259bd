// SPDX-License-Identifier: Apache-2.0 OR MIT

package bbolt

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// logged is what a module has logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// lines lists what was logged.
func (l *logged) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.FieldsFunc(l.text.String(), func(r rune) bool { return r == '\n' })
}

// started starts the module on a file.
func started(t testing.TB, path string) (*Bbolt, *logged) {
	t.Helper()
	log := new(logged)
	b := &Bbolt{path: path, MaxSize: 4 << 30, log: slog.New(slog.NewTextHandler(log, nil))}
	if err := b.Start(t.Context(), coretest.FakeNodes(t, 1)[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b, log
}

func opened(t testing.TB, b *Bbolt, name string, quota core.Quota) core.Table {
	t.Helper()
	table, err := b.Table(name, quota)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func closed(t testing.TB, b *Bbolt, tables ...core.Table) {
	t.Helper()
	for _, table := range tables {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func put(key, value string) core.Change {
	return core.Change{Key: []byte(key), Value: []byte(value)}
}

// works fails the test unless a table keeps what is written.
func works(t testing.TB, b *Bbolt) {
	t.Helper()
	table := opened(t, b, "test/works", core.Quota{})
	if err := table.Apply(put("key", "value")); err != nil {
		t.Errorf("apply: %v", err)
	}
	if v, err := table.Get([]byte("key")); err != nil || string(v) != "value" {
		t.Errorf("%q, %v", v, err)
	}
	if err := table.Close(); err != nil {
		t.Error(err)
	}
}

// sample makes a store with known entries and returns the file's contents. Trees
// have more than one level, and some pages are free.
func sample(t testing.TB, entries int) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	b, _ := started(t, path)
	one, two := opened(t, b, "test/sample", core.Quota{}), opened(t, b, "test/small", core.Quota{})
	var changes []core.Change
	for i := range entries {
		changes = append(changes, put(sampleKey(i), sampleValue(i)))
	}
	for _, batch := range [][]core.Change{changes, changes[:entries/2], {put("gone", "v")}, {{Key: []byte("gone")}}} {
		if err := one.Apply(batch...); err != nil {
			t.Fatal(err)
		}
	}
	if err := two.Apply(put("a", "1")); err != nil {
		t.Fatal(err)
	}
	closed(t, b, one, two)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func sampleKey(i int) string   { return fmt.Sprintf("key/%06d", i*7919%1_000_003) }
func sampleValue(i int) string { return fmt.Sprintf("%d", i) + strings.Repeat("v", i%97) }

// bad lists the files that were put aside beside path.
func bad(t testing.TB, path string) []string {
	t.Helper()
	list, err := filepath.Glob(path + ".bad-*")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// wrong counts the entries of the sample that have other values than were written;
// lost those that are gone, or fail.
func wrong(t testing.TB, table core.Table, entries int) (wrong, lost int) {
	t.Helper()
	for i := range entries {
		v, err := table.Get([]byte(sampleKey(i)))
		switch {
		case err != nil:
			lost++
		case string(v) != sampleValue(i):
			wrong++
			t.Errorf("%s: %q, want %q", sampleKey(i), v, sampleValue(i))
		}
	}
	return wrong, lost
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, os.ErrNotExist)
}
