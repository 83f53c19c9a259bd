// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// StorageOptions describe the storage that [TestStorage] tests.
type StorageOptions struct {
	// New makes another instance each time. A storage that keeps things in
	// files has them in folder.
	New func(t *testing.T, folder string) core.Storage
	// Durable: another instance with the same folder has what the one before
	// had, when that is closed and while it is not.
	Durable bool
}

// TestStorage tests what every storage must do.
func TestStorage(t *testing.T, options StorageOptions) {
	t.Run("Lifecycle", func(t *testing.T) {
		TestLifecycle(t, func(t *testing.T) core.Service { return options.New(t, t.TempDir()) })
	})
	s := &storageSuite{options}
	for _, c := range []struct {
		name string
		skip bool
		test func(*testing.T)
	}{
		{"GetWhatWasWritten", false, s.testGet},
		{"SlicesAreNobodyElses", false, s.testSlices},
		{"AllOrNothing", false, s.testAllOrNothing},
		{"Bounds", false, s.testBounds},
		{"ScanInOrder", false, s.testScan},
		{"ScanWhileChanging", false, s.testScanWhileChanging},
		{"Model", false, s.testModel},
		{"Expiry", false, s.testExpiry},
		{"QuotaOfEntries", false, s.testQuotaOfEntries},
		{"QuotaOfBytes", false, s.testQuotaOfBytes},
		{"SmallerQuota", false, s.testSmallerQuota},
		{"Concurrent", false, s.testConcurrent},
		{"TablesAreIndependent", false, s.testIndependent},
		{"TableOpenTwice", false, s.testOpenTwice},
		{"Closed", false, s.testClosed},
		{"Reopen", !options.Durable, s.testReopen},
		{"Successor", !options.Durable, s.testSuccessor},
	} {
		if c.skip {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			VerifyNoLeaks(t)
			c.test(t)
		})
	}
}

type storageSuite struct{ StorageOptions }

// start starts a storage in a folder. The test's end closes it.
func (s *storageSuite) start(t *testing.T, n core.Node, folder string) core.Storage {
	t.Helper()
	storage := s.New(t, folder)
	if err := storage.Start(t.Context(), n); err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() { mustClose(t, storage) })
	return storage
}

// open opens a table. The test's end closes it.
func open(t *testing.T, s core.Storage, name string, q core.Quota) core.Table {
	t.Helper()
	table, err := s.Table(name, q)
	if err != nil {
		t.Fatalf("table %s: %v", name, err)
	}
	t.Cleanup(func() {
		if err := table.Close(); err != nil {
			t.Errorf("close of table %s: %v", name, err)
		}
	})
	return table
}

// table starts a storage and opens a table in it.
func (s *storageSuite) table(t *testing.T, q core.Quota) core.Table {
	t.Helper()
	return open(t, s.start(t, FakeNodes(t, 1)[0], t.TempDir()), "test/table", q)
}

// put is a change that writes, or deletes if value is "-".
func put(key, value string) core.Change {
	if value == "-" {
		return core.Change{Key: []byte(key)}
	}
	return core.Change{Key: []byte(key), Value: []byte(value)}
}

func apply(t *testing.T, table core.Table, changes ...core.Change) {
	t.Helper()
	if err := table.Apply(changes...); err != nil {
		t.Fatalf("apply: %v", err)
	}
}

// wantValue wants a value of a key; "-" means none.
func wantValue(t *testing.T, table core.Table, key, want string) {
	t.Helper()
	got, err := table.Get([]byte(key))
	switch {
	case want == "-":
		if !errors.Is(err, core.ErrNotFound) {
			t.Errorf("get %q: %q, %v, want ErrNotFound", key, got, err)
		}
	case err != nil || string(got) != want || got == nil:
		t.Errorf("get %q: %q, %v, want %q", key, got, err, want)
	}
}

// scan lists what a scan yields, as KEY=VALUE.
func scan(t *testing.T, table core.Table, prefix string) []string {
	t.Helper()
	list := []string{}
	for e, err := range table.Scan([]byte(prefix)) {
		if err != nil {
			t.Errorf("scan %q: %v", prefix, err)
			break
		}
		list = append(list, string(e.Key)+"="+string(e.Value))
	}
	return list
}

func wantScan(t *testing.T, table core.Table, prefix string, want ...string) {
	t.Helper()
	if got := scan(t, table, prefix); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("scan %q: %q, want %q", prefix, got, want)
	}
}

func wantStat(t *testing.T, table core.Table, entries int, size int64) {
	t.Helper()
	got, err := table.Stat()
	if want := (core.TableStat{Entries: entries, Bytes: size}); err != nil || got != want {
		t.Errorf("stat: %+v, %v, want %+v", got, err, want)
	}
}

func (s *storageSuite) testGet(t *testing.T) {
	table := s.table(t, core.Quota{})
	wantValue(t, table, "a", "-")
	wantStat(t, table, 0, 0)
	apply(t, table, put("a", "1"), put("b", ""), put("\x00\xff", "binary"))
	apply(t, table)
	for key, want := range map[string]string{"a": "1", "b": "", "\x00\xff": "binary", "": "-", "aa": "-"} {
		wantValue(t, table, key, want)
	}
	wantStat(t, table, 3, 2+1+8)
	apply(t, table, put("a", "another"), put("b", "-"), put("c", "-"))
	wantValue(t, table, "a", "another")
	wantValue(t, table, "b", "-")
	wantStat(t, table, 2, 8+8)
	apply(t, table, put("a", "-"), put("a", "last"), put("d", "1"), put("d", "-"))
	wantValue(t, table, "a", "last")
	wantValue(t, table, "d", "-")
	for e, err := range table.Scan([]byte("a")) {
		if age := time.Since(e.Written); err != nil || age < 0 || age > time.Hour || !e.Expires.IsZero() {
			t.Errorf("%+v, %v", e, err)
		}
	}
}

func (s *storageSuite) testSlices(t *testing.T) {
	table := s.table(t, core.Quota{})
	key, value := []byte("key"), []byte("value")
	apply(t, table, core.Change{Key: key, Value: value})
	copy(key, "xxx")
	copy(value, "xxxxx")
	got, err := table.Get([]byte("key"))
	if err != nil || string(got) != "value" {
		t.Fatalf("%q, %v", got, err)
	}
	copy(got, "yyyyy")
	for e := range table.Scan(nil) {
		copy(e.Key, "zzz")
		copy(e.Value, "zzzzz")
		_ = append(e.Key, "more"...)
	}
	wantScan(t, table, "", "key=value")
}

func (s *storageSuite) testAllOrNothing(t *testing.T) {
	table := s.table(t, core.Quota{Bytes: 100})
	apply(t, table, put("a", "1"), put("b", "1"))
	for name, bad := range map[string]core.Change{
		"no key":              put("", "value"),
		"long key":            {Key: make([]byte, core.MaxStorageKey+1), Value: []byte{}},
		"no key to delete":    put("", "-"),
		"larger than quota":   {Key: []byte("b"), Value: make([]byte, 100)},
		"larger than a value": {Key: []byte("b"), Value: make([]byte, core.MaxStorageValue+1)},
	} {
		if err := table.Apply(put("a", "2"), put("b", "-"), put("c", "2"), bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	wantScan(t, table, "", "a=1", "b=1")
	wantStat(t, table, 2, 4)
}

func (s *storageSuite) testBounds(t *testing.T) {
	table := s.table(t, core.Quota{})
	key, value := bytes.Repeat([]byte{7}, core.MaxStorageKey), bytes.Repeat([]byte{9}, core.MaxStorageValue)
	apply(t, table, core.Change{Key: key, Value: value})
	if got, err := table.Get(key); err != nil || !bytes.Equal(got, value) {
		t.Errorf("the largest entry: %d bytes, %v", len(got), err)
	}
	wantStat(t, table, 1, core.MaxStorageKey+core.MaxStorageValue)
}

// testExpiry is on fake time.
func (s *storageSuite) testExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := s.table(t, core.Quota{})
		now := time.Now()
		const many = 500
		for i := range many {
			e := put(fmt.Sprintf("e/%04d", i), "v")
			e.Expires = now.Add(time.Hour)
			apply(t, table, e)
		}
		past, late, never := put("past", "v"), put("late", "v"), put("never", "v")
		past.Expires = now.Add(-time.Second)
		late.Expires = now.Add(2*time.Hour + 5*time.Millisecond)
		apply(t, table, past, late, never)
		wantValue(t, table, "past", "-")
		if n := len(scan(t, table, "e/")); n != many {
			t.Errorf("%d before the end", n)
		}
		for e, err := range table.Scan([]byte("late")) {
			if err != nil || !e.Expires.Equal(late.Expires) {
				t.Errorf("expires %v, %v, want %v", e.Expires, err, late.Expires)
			}
		}
		time.Sleep(time.Hour)
		wantValue(t, table, "e/0001", "-")
		wantScan(t, table, "", "late=v", "never=v")
		// What has expired is cleared away by those who write, a bit each time.
		for i := 0; ; i++ {
			apply(t, table, put("never", "v"))
			if stat, err := table.Stat(); err != nil || stat.Entries == 2 {
				break
			} else if i > many {
				t.Errorf("%d entries are left after %d writes", stat.Entries, i)
				break
			}
		}
		wantStat(t, table, 2, 5+6)
		later := put("late", "v")
		later.Expires = now.Add(3 * time.Hour)
		apply(t, table, later)
		time.Sleep(90 * time.Minute)
		wantValue(t, table, "late", "v")
		time.Sleep(time.Hour)
		wantScan(t, table, "", "never=v")
	})
}

func (s *storageSuite) testClosed(t *testing.T) {
	n := FakeNodes(t, 1)[0]
	folder := t.TempDir()
	storage := s.New(t, folder)
	if _, err := storage.Table("test/early", core.Quota{}); err == nil {
		t.Error("a table of a storage that is not started")
	}
	if err := storage.Start(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Table("", core.Quota{}); err == nil {
		t.Error("a table without a name")
	}
	table := open(t, storage, "test/table", core.Quota{})
	apply(t, table, put("a", "1"))
	mustClose(t, storage)
	if _, err := storage.Table("test/late", core.Quota{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a table of a closed storage: %v", err)
	}
	apply(t, table, put("b", "2"))
	wantScan(t, table, "", "a=1", "b=2")
	for range 2 {
		if err := table.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	_, getErr := table.Get([]byte("a"))
	_, statErr := table.Stat()
	var scanErr error
	for _, err := range table.Scan(nil) {
		scanErr = err
	}
	for name, err := range map[string]error{"get": getErr, "apply": table.Apply(put("a", "2")), "scan": scanErr, "stat": statErr} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s on a closed table: %v", name, err)
		}
	}
}
