// SPDX-License-Identifier: Apache-2.0 OR MIT

package bbolt

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/xnode-p2p/xnode/core"
)

// otherDatabase is a bbolt file with a bucket.
func otherDatabase(t *testing.T, bucket, key, value string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other.db")
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte(bucket))
		if err != nil {
			return err
		}
		return b.Put([]byte(key), []byte(value))
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// newest is the offset of the head that counts.
func newest(text []byte) int {
	first, second := readHead(text[pageHeader:]), readHead(text[os.Getpagesize()+pageHeader:])
	if first.tx > second.tx {
		return pageHeader
	}
	return os.Getpagesize() + pageHeader
}

// rehead changes the head that counts, with a checksum that is right.
func rehead(text []byte, change func(head []byte)) {
	h := text[newest(text):][:metaSize]
	change(h)
	sum := fnv.New64a()
	sum.Write(h[:56])
	order.PutUint64(h[56:], sum.Sum64())
}

// pageOf is where a page is that the head leads to with the number at an offset.
func pageOf(text []byte, offset int) []byte {
	return text[int(order.Uint64(text[newest(text)+offset:]))*os.Getpagesize():]
}

// TestEvil_K10_Damaged starts the store with files that are none, or no more.
func TestEvil_K10_Damaged(t *testing.T) {
	const entries = 3000
	good := sample(t, entries)
	page := os.Getpagesize()
	change := func(f func([]byte)) []byte {
		text := bytes.Clone(good)
		f(text)
		return text
	}
	const rootAt, freelistAt, pagesAt = 16, 32, 40
	for name, c := range map[string]struct {
		text []byte
		says string
	}{
		"zeros":           {make([]byte, 1<<16), "no database"},
		"one byte":        {[]byte{7}, "no database"},
		"text":            {[]byte(strings.Repeat("hello ", 5000)), "no database"},
		"half a page":     {good[:page/2], "cut off"},
		"one page":        {good[:page], "cut off"},
		"half":            {good[:len(good)/2], "cut off"},
		"a byte less":     {good[:4*page-1], "cut off"},
		"both heads":      {change(func(b []byte) { b[pageHeader]++; b[page+pageHeader]++ }), "no database"},
		"another program": {otherDatabase(t, "accounts", "a", "b"), "another program"},
		"another format":  {otherDatabase(t, string(formatBucket), "format", "2"), `format "2"`},
		"no free pages": {change(func(b []byte) {
			rehead(b, func(h []byte) { order.PutUint64(h[freelistAt:], 1<<64-1) })
		}), "no page"},
		"root beyond the end": {change(func(b []byte) {
			rehead(b, func(h []byte) { order.PutUint64(h[rootAt:], 1<<40) })
		}), "no page"},
		"root is the list of free pages": {change(func(b []byte) {
			rehead(b, func(h []byte) { copy(h[rootAt:rootAt+8], h[freelistAt:freelistAt+8]) })
		}), "used twice"},
		"more pages than there are": {change(func(b []byte) {
			rehead(b, func(h []byte) { order.PutUint64(h[pagesAt:], 1<<50) })
		}), "cut off"},
		"free pages without end": {change(func(b []byte) {
			list := pageOf(b, freelistAt)
			order.PutUint16(list[10:], 0xFFFF)
			order.PutUint64(list[pageHeader:], 1<<60)
		}), "list of free pages has"},
		"free page twice": {change(func(b []byte) {
			list := pageOf(b, freelistAt)
			copy(list[pageHeader+8:pageHeader+16], list[pageHeader:])
		}), "out of order"},
		"free pages are a leaf":   {change(func(b []byte) { order.PutUint16(pageOf(b, freelistAt)[8:], leafPage) }), "of type 0x2"},
		"root has another number": {change(func(b []byte) { order.PutUint64(pageOf(b, rootAt), 3<<20) }), "says that it is page"},
		"root is very long":       {change(func(b []byte) { order.PutUint32(pageOf(b, rootAt)[12:], 1<<31) }), "ends behind the last"},
		"root is full":            {change(func(b []byte) { order.PutUint16(pageOf(b, rootAt)[10:], 0xFFFF) }), "entries"},
		"entry beyond the page":   {change(func(b []byte) { order.PutUint32(pageOf(b, rootAt)[pageHeader+8:], 1<<31) }), "is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			if err := os.WriteFile(path, c.text, 0o600); err != nil {
				t.Fatal(err)
			}
			b, log := started(t, path)
			works(t, b)
			aside := bad(t, path)
			if len(aside) != 1 {
				t.Fatalf("put aside: %q", aside)
			}
			if text, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(text, c.text) {
				t.Errorf("what was put aside is not what there was: %v", err)
			}
			lines := log.lines()
			if len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], path) ||
				!strings.Contains(lines[0], aside[0]) || !strings.Contains(strings.ReplaceAll(lines[0], `\`, ""), c.says) {
				t.Errorf("said %q, want once %q", lines, c.says)
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			again, log := started(t, path)
			works(t, again)
			if lines := log.lines(); len(lines) > 0 || len(bad(t, path)) != 1 {
				t.Errorf("the new store: %q, %q", lines, bad(t, path))
			}
		})
	}
}

// A cycle of pages would end the process: bbolt follows it without end.
func TestEvil_K10_Cycles(t *testing.T) {
	good := sample(t, 3000)
	page := os.Getpagesize()
	branches := 0
	for p := 2 * page; p+page <= len(good); p += page {
		if order.Uint16(good[p+8:]) != branchPage || count(good[p:]) < 2 {
			continue
		}
		branches++
		for _, to := range []uint64{uint64(p / page), order.Uint64(good[newest(good)+16:]), order.Uint64(good[p+pageHeader+8:])} {
			text := bytes.Clone(good)
			order.PutUint64(text[p+pageHeader+elementSize+8:], to)
			if bytes.Equal(text, good) {
				continue
			}
			path := filepath.Join(t.TempDir(), "store.db")
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			b, _ := started(t, path)
			works(t, b)
			for range opened(t, b, "test/sample", core.Quota{}).Scan(nil) {
			}
		}
	}
	if branches == 0 {
		t.Error("the sample has no branches")
	}
}

// flips is how many bytes are flipped one after the other.
func flips() int {
	if testing.Short() {
		return 60
	}
	return 300
}

// TestEvil_K10_FlippedBytes flips a byte anywhere in the file. Whatever comes of
// it, nobody gets another value than was written, and the store can be written to.
func TestEvil_K10_FlippedBytes(t *testing.T) {
	const entries = 1500
	good := sample(t, entries)
	r := rand.New(rand.NewPCG(3, 4))
	page := os.Getpagesize()
	var upper []int // what is neither a leaf nor empty
	for p := 0; p+page <= len(good); p += page {
		if flags := order.Uint16(good[p+8:]); flags != leafPage && flags != 0 {
			upper = append(upper, p)
		}
	}
	asides, losses := 0, 0
	for i := range flips() {
		text := bytes.Clone(good)
		at := r.IntN(len(text))
		if i%3 == 0 {
			at = upper[r.IntN(len(upper))] + r.IntN(page)
		}
		text[at] ^= byte(1 + r.IntN(255))
		path := filepath.Join(t.TempDir(), "store.db")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		b, _ := started(t, path)
		table := opened(t, b, "test/sample", core.Quota{Entries: entries})
		_, lost := wrong(t, table, entries)
		for e, err := range table.Scan(nil) {
			if err == nil && !strings.HasPrefix(string(e.Key), "key/") {
				t.Errorf("flip at %d: scan yields %q", at, e.Key)
			}
		}
		// Writes may find damage too; after that there is a new file.
		for i := range 3 {
			changes := []core.Change{put(sampleKey(i), sampleValue(i)), put(sampleKey(i+500), sampleValue(i+500))}
			if table.Apply(changes...) != nil {
				if err := table.Apply(changes...); err != nil {
					t.Errorf("flip at %d: %v", at, err)
				}
			}
		}
		works(t, b)
		closed(t, b, table)
		asides += len(bad(t, path))
		if lost > 0 {
			losses++
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("%d flips in %d bytes: %d files put aside, in %d an entry was lost", flips(), len(good), asides, losses)
	if asides == 0 {
		t.Error("no flip was noticed")
	}
}

// TestEvil_K10_FlippedUnderUse flips bytes of the leaves while the file is open.
func TestEvil_K10_FlippedUnderUse(t *testing.T) {
	const entries = 1500
	r := rand.New(rand.NewPCG(5, 6))
	page := os.Getpagesize()
	good := sample(t, entries)
	var leaves []int
	for p := 2 * page; p+page <= len(good); p += page {
		if isLeaf(good[p:]) {
			leaves = append(leaves, p)
		}
	}
	asides := 0
	for range flips() / 10 {
		path := filepath.Join(t.TempDir(), "store.db")
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		b, log := started(t, path)
		table := opened(t, b, "test/sample", core.Quota{Entries: entries})
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		for range 30 { // most of them in the elements, where they do most harm
			at := leaves[r.IntN(len(leaves))] + r.IntN(page/4)
			if _, err := f.WriteAt([]byte{byte(r.IntN(256))}, int64(at)); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		wrong(t, table, entries)
		for range table.Scan(nil) {
		}
		for i := range 20 {
			_ = table.Apply(put(sampleKey(10*i), sampleValue(10*i)), put(sampleKey(10*i+5), sampleValue(10*i+5))) // may fail
		}
		closed(t, b, table)
		asides += len(bad(t, path))
		if n := len(log.lines()); n > asideAtMost+1 {
			t.Errorf("said %d things", n)
		}
		after, _ := started(t, path)
		works(t, after)
		if t.Failed() {
			break
		}
	}
	t.Logf("%d files put aside", asides)
	if asides == 0 {
		t.Error("no damage was noticed")
	}
}

// A file that is cut off while it is mapped: reading it is a bus error.
func TestEvil_K10_CutOffUnderUse(t *testing.T) {
	const entries = 3000
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, sample(t, entries), 0o600); err != nil {
		t.Fatal(err)
	}
	b, log := started(t, path)
	table := opened(t, b, "test/sample", core.Quota{})
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Get([]byte(sampleKey(1))); err == nil {
		t.Error("no error")
	}
	works(t, b)
	closed(t, b, table)
	if lines := log.lines(); len(lines) != 1 || !strings.Contains(lines[0], "put aside") {
		t.Errorf("%q", lines)
	}
}

// A damaged entry is an error, not somebody else's value; it can be written anew.
func TestEvil_K10_SpoiledEntry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	text := sample(t, 100)
	at := bytes.LastIndex(text, []byte(sampleValue(50)))
	for i := bytes.Index(text, []byte(sampleValue(50))); i >= 0 && i <= at; i++ {
		if bytes.HasPrefix(text[i:], []byte(sampleValue(50))) {
			text[i] = 'x'
		}
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	b, log := started(t, path)
	table := opened(t, b, "test/sample", core.Quota{})
	for range 3 {
		if v, err := table.Get([]byte(sampleKey(50))); err == nil || !strings.Contains(err.Error(), "the entry is damaged") {
			t.Errorf("%q, %v", v, err)
		}
	}
	n := 0
	for _, err := range table.Scan(nil) {
		if n++; err != nil {
			t.Error(err)
		}
	}
	if n != 99 {
		t.Errorf("scan yields %d", n)
	}
	if lines := log.lines(); len(lines) != 1 || !strings.Contains(lines[0], "an entry of the store is damaged") {
		t.Errorf("%q", lines)
	}
	if err := table.Apply(put(sampleKey(50), sampleValue(50))); err != nil {
		t.Error(err)
	}
	if wrong, lost := wrong(t, table, 100); wrong+lost > 0 || len(bad(t, path)) > 0 {
		t.Errorf("%d wrong, %d lost", wrong, lost)
	}
	closed(t, b, table)
}

// FuzzCheck: whatever is in a file, looking at it ends well.
func FuzzCheck(f *testing.F) {
	good := sample(f, 200)
	f.Add(good, uint32(0), uint64(0))
	f.Add(good[:5000], uint32(5), uint64(1))
	f.Fuzz(func(t *testing.T, text []byte, at uint32, value uint64) {
		text = bytes.Clone(text)
		if len(text) > 8 {
			binary.LittleEndian.PutUint64(text[int(at)%(len(text)-8):], value)
		}
		if len(text) > 2*os.Getpagesize() { // so that it gets behind the head
			rehead(text, func([]byte) {})
		}
		_ = checkFile(bytes.NewReader(text), int64(len(text)))
	})
}

// TestCheckAccepts: a store is good, whatever was done to it.
func TestCheckAccepts(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	path := filepath.Join(t.TempDir(), "store.db")
	rounds := 150
	if testing.Short() {
		rounds = 30
	}
	b, log := started(t, path)
	tables := []core.Table{opened(t, b, "test/a", core.Quota{Entries: 4000}), opened(t, b, "test/b", core.Quota{Bytes: 1 << 20}), opened(t, b, "test/c", core.Quota{})}
	for range rounds {
		for _, table := range tables {
			var changes []core.Change
			erase := r.IntN(3) == 0
			for range r.IntN(400) {
				key := make([]byte, 1+r.IntN([]int{8, 60, core.MaxStorageKey}[r.IntN(3)]))
				for i := range key {
					key[i] = byte(r.IntN(4))
				}
				c := core.Change{Key: key, Value: make([]byte, r.IntN([]int{10, 300, 20000}[r.IntN(3)]))}
				if erase {
					c.Value = nil
				}
				changes = append(changes, c)
			}
			if erase && r.IntN(4) == 0 { // and now and then, nearly everything
				for e := range table.Scan(nil) {
					changes = append(changes, core.Change{Key: e.Key})
				}
			}
			if err := table.Apply(changes...); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkFile(bytes.NewReader(text), int64(len(text))); err != nil {
			t.Fatal(err)
		}
	}
	for _, table := range tables {
		n, size := 0, int64(0)
		for e, err := range table.Scan(nil) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			size += int64(len(e.Key) + len(e.Value))
		}
		if stat, err := table.Stat(); err != nil || stat.Entries != n || stat.Bytes != size {
			t.Errorf("%+v, %v, want %d, %d", stat, err, n, size)
		}
	}
	closed(t, b, tables...)
	if lines := log.lines(); len(lines) > 0 {
		t.Errorf("%q", lines)
	}
}
