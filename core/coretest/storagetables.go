// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

func (s *storageSuite) testScan(t *testing.T) {
	table := s.table(t, core.Quota{})
	wantScan(t, table, "")
	apply(t, table, put("b", "2"), put("a/2", "4"), put("a", "1"), put("a/1", "3"), put("a0", "6"), put("a/\xff\xff", "5"), put("\xff", "7"))
	wantScan(t, table, "", "a=1", "a/1=3", "a/2=4", "a/\xff\xff=5", "a0=6", "b=2", "\xff=7")
	wantScan(t, table, "a/", "a/1=3", "a/2=4", "a/\xff\xff=5")
	wantScan(t, table, "a/\xff", "a/\xff\xff=5")
	wantScan(t, table, "\xff", "\xff=7")
	wantScan(t, table, "c")
	for e := range table.Scan(nil) { // leaving early
		if string(e.Key) != "a" {
			t.Errorf("the first is %q", e.Key)
		}
		break
	}
	const many = 1000
	var changes []core.Change
	want := []string{}
	for i := range many {
		key := fmt.Sprintf("many/%03d", i)
		changes = append(changes, put(key, "v"))
		want = append(want, key+"=v")
	}
	rand.Shuffle(many, func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	apply(t, table, changes...)
	wantScan(t, table, "many/", want...)
}

// testScanWhileChanging wants every entry that is there all the time once and in
// order, whatever happens to others.
func (s *storageSuite) testScanWhileChanging(t *testing.T) {
	table := s.table(t, core.Quota{})
	const stay = 400
	for i := range stay {
		apply(t, table, put(fmt.Sprintf("%04d", i), "stays"), put(fmt.Sprintf("%04d/x", i), "goes"))
	}
	var others sync.WaitGroup
	stop := make(chan struct{})
	others.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			k := fmt.Sprintf("%04d", i%stay)
			if err := table.Apply(put(k, "stays"), put(k+"/x", "-"), put(k+"/y", "comes")); err != nil {
				t.Errorf("apply: %v", err)
				return
			}
		}
	})
	for range 3 {
		n, last := 0, ""
		for e, err := range table.Scan(nil) {
			if err != nil {
				t.Fatalf("scan: %v", err)
			}
			if key := string(e.Key); key <= last {
				t.Fatalf("%q after %q", key, last)
			} else {
				last = key
			}
			if string(e.Value) == "stays" {
				if want := fmt.Sprintf("%04d", n); last != want {
					t.Fatalf("%q, want %q", last, want)
				}
				n++
			}
			// Who scans may change the table too.
			if n%100 == 0 {
				apply(t, table, put(string(e.Key)+"/z", "mine"), put(string(e.Key)+"/x", "-"))
			}
		}
		if n != stay {
			t.Errorf("%d of %d", n, stay)
		}
	}
	close(stop)
	others.Wait()
}

// testModel compares with a map.
func (s *storageSuite) testModel(t *testing.T) {
	table := s.table(t, core.Quota{})
	model := map[string]string{}
	r := rand.New(rand.NewPCG(1, 2))
	key := func() string {
		return strings.Repeat(string(rune('a'+r.IntN(4))), 1+r.IntN(3)) + fmt.Sprint(r.IntN(40))
	}
	for step := range 300 {
		var changes []core.Change
		for range r.IntN(8) {
			k, v := key(), strings.Repeat("v", r.IntN(300))
			if r.IntN(3) == 0 {
				v = "-"
			}
			changes = append(changes, put(k, v))
			if delete(model, k); v != "-" {
				model[k] = v
			}
		}
		apply(t, table, changes...)
		k := key()
		want, ok := model[k]
		if !ok {
			want = "-"
		}
		wantValue(t, table, k, want)
		if step%25 > 0 {
			continue
		}
		prefix := strings.Repeat("b", r.IntN(3))
		list, size := []string{}, 0
		for _, k := range slices.Sorted(maps.Keys(model)) {
			size += len(k) + len(model[k])
			if strings.HasPrefix(k, prefix) {
				list = append(list, k+"="+model[k])
			}
		}
		wantScan(t, table, prefix, list...)
		wantStat(t, table, len(model), int64(size))
	}
}

func (s *storageSuite) testQuotaOfEntries(t *testing.T) {
	table := s.table(t, core.Quota{Entries: 3})
	apply(t, table, put("c", "1"), put("b", "2"), put("a", "3"))
	apply(t, table, put("c", "4")) // which makes it the youngest
	apply(t, table, put("d", "5"))
	wantScan(t, table, "", "a=3", "c=4", "d=5")
	apply(t, table, put("e", "6"), put("f", "7"), put("g", "8"), put("h", "9"))
	wantScan(t, table, "", "f=7", "g=8", "h=9")
	apply(t, table, put("g", "-"))
	apply(t, table, put("i", "10"))
	wantScan(t, table, "", "f=7", "h=9", "i=10")
	wantStat(t, table, 3, 2+2+3)
}

func (s *storageSuite) testQuotaOfBytes(t *testing.T) {
	table := s.table(t, core.Quota{Bytes: 100})
	value := strings.Repeat("v", 23)
	for _, k := range []string{"aa", "bb", "cc", "dd"} { // 25 bytes each
		apply(t, table, put(k, value))
	}
	wantStat(t, table, 4, 100)
	apply(t, table, put("bb", value))
	apply(t, table, put("ee", "1234"))
	wantScan(t, table, "", "bb="+value, "cc="+value, "dd="+value, "ee=1234")
	apply(t, table, put("ff", strings.Repeat("v", 60)))
	wantScan(t, table, "", "bb="+value, "ee=1234", "ff="+strings.Repeat("v", 60))
	apply(t, table, put("gg", strings.Repeat("v", 98))) // all that there is room for
	wantScan(t, table, "", "gg="+strings.Repeat("v", 98))
	apply(t, table, put("gg", "1"))
	wantStat(t, table, 1, 3)
}

func (s *storageSuite) testSmallerQuota(t *testing.T) {
	storage := s.start(t, FakeNodes(t, 1)[0], t.TempDir())
	table := open(t, storage, "test/table", core.Quota{})
	const many = 100
	for i := range many {
		apply(t, table, put(fmt.Sprintf("%03d", i), "v"))
	}
	again := open(t, storage, "test/table", core.Quota{Entries: 5})
	apply(t, table, put("new", "v"))
	wantScan(t, again, "", "096=v", "097=v", "098=v", "099=v", "new=v")
}

// testConcurrent has many write and read what is theirs and what is everybody's.
func (s *storageSuite) testConcurrent(t *testing.T) {
	const writers, rounds, each = 8, 25, 5
	table := s.table(t, core.Quota{})
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			own := func(i int) []byte { return fmt.Appendf(nil, "own/%d/%d", w, i%each) }
			for i := range rounds {
				value := fmt.Appendf(nil, "%d", i)
				err := table.Apply(core.Change{Key: own(i), Value: value}, put("shared", fmt.Sprint(w)), put(fmt.Sprintf("gone/%d", w), "-"))
				if err != nil {
					t.Errorf("apply: %v", err)
					return
				}
				if got, err := table.Get(own(i)); err != nil || !bytes.Equal(got, value) {
					t.Errorf("%q, %v, want %q", got, err, value)
				}
				if _, err := table.Get([]byte("shared")); err != nil {
					t.Error(err)
				}
				n := 0
				for _, err := range table.Scan(fmt.Appendf(nil, "own/%d/", w)) {
					if n++; err != nil {
						t.Error(err)
					}
				}
				if n != min(i+1, each) {
					t.Errorf("%d own entries in round %d", n, i)
				}
				if _, err := table.Stat(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n := len(scan(t, table, "own/")); n != writers*each {
		t.Errorf("%d entries", n)
	}
	stat, err := table.Stat()
	size := 0
	for _, e := range scan(t, table, "") {
		size += len(e) - 1
	}
	if err != nil || stat.Entries != writers*each+1 || stat.Bytes != int64(size) {
		t.Errorf("%+v, %v, want %d bytes", stat, err, size)
	}
}

func (s *storageSuite) testIndependent(t *testing.T) {
	storage := s.start(t, FakeNodes(t, 1)[0], t.TempDir())
	one, two := open(t, storage, "test/one", core.Quota{Entries: 2}), open(t, storage, "test/two", core.Quota{})
	apply(t, one, put("a", "1"), put("b", "1"))
	apply(t, two, put("a", "2"))
	apply(t, one, put("c", "1"))
	apply(t, two, put("d", "2"), put("e", "2"))
	wantScan(t, one, "", "b=1", "c=1")
	wantScan(t, two, "", "a=2", "d=2", "e=2")
	if err := one.Close(); err != nil {
		t.Error(err)
	}
	wantStat(t, two, 3, 6)
	wantScan(t, open(t, storage, "test/one", core.Quota{}), "", "b=1", "c=1")
}

func (s *storageSuite) testOpenTwice(t *testing.T) {
	storage := s.start(t, FakeNodes(t, 1)[0], t.TempDir())
	one, two := open(t, storage, "test/table", core.Quota{}), open(t, storage, "test/table", core.Quota{Entries: 2})
	apply(t, one, put("a", "1"), put("b", "1"))
	apply(t, two, put("a", "2"))
	wantScan(t, one, "", "a=2", "b=1")
	if err := one.Close(); err != nil {
		t.Error(err)
	}
	apply(t, two, put("c", "2"))
	wantScan(t, two, "", "a=2", "c=2")
}

func (s *storageSuite) testReopen(t *testing.T) {
	n, folder := FakeNodes(t, 1)[0], t.TempDir()
	session := func(quota core.Quota, use func(core.Table)) {
		t.Helper()
		storage := s.New(t, folder)
		if err := storage.Start(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		table, err := storage.Table("test/table", quota)
		if err != nil {
			t.Fatal(err)
		}
		use(table)
		if err := table.Close(); err != nil {
			t.Error(err)
		}
		mustClose(t, storage)
	}
	var entries []core.Entry
	all := func(table core.Table) (list []core.Entry) {
		for e, err := range table.Scan(nil) {
			if err != nil {
				t.Error(err)
			}
			list = append(list, e)
		}
		return list
	}
	session(core.Quota{}, func(table core.Table) {
		lasting := put("d", "4")
		lasting.Expires = time.Now().Add(24 * time.Hour)
		apply(t, table, put("c", "1"), put("b", "2"), put("a", "3"), lasting, put("e", "-"))
		entries = all(table)
	})
	session(core.Quota{}, func(table core.Table) {
		for i, e := range all(table) {
			if w := entries[i]; !bytes.Equal(e.Key, w.Key) || !bytes.Equal(e.Value, w.Value) || !e.Written.Equal(w.Written) || !e.Expires.Equal(w.Expires) {
				t.Errorf("%+v, before %+v", e, w)
			}
		}
		wantStat(t, table, 4, 8)
	})
	session(core.Quota{Entries: 3}, func(table core.Table) {
		apply(t, table, put("f", "5"))
		wantScan(t, table, "", "a=3", "d=4", "f=5")
		wantStat(t, table, 3, 6)
	})
	session(core.Quota{}, func(table core.Table) { wantScan(t, table, "", "a=3", "d=4", "f=5") })
}

// testSuccessor replaces a storage as a reload does, under a module that stays.
func (s *storageSuite) testSuccessor(t *testing.T) {
	n, folder := FakeNodes(t, 1)[0], t.TempDir()
	before := s.start(t, n, folder)
	table := open(t, before, "test/table", core.Quota{})
	apply(t, table, put("a", "1"))
	after := s.start(t, n, folder)
	other := open(t, after, "test/table", core.Quota{})
	mustClose(t, before)
	apply(t, table, put("b", "2"))
	wantScan(t, other, "", "a=1", "b=2")
	apply(t, other, put("c", "3"))
	wantScan(t, table, "", "a=1", "b=2", "c=3")
}
