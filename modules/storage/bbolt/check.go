// SPDX-License-Identifier: Apache-2.0 OR MIT

package bbolt

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"io"
	"os"
)

// The form of a bbolt file, as far as [check] reads it. All numbers are in the byte
// order of the machine.
const (
	pageHeader   = 16 // id 8, flags 2, count 2, overflow 4
	elementSize  = 16 // of a branch: position 4, key size 4, page 8; of a leaf: flags 4, position 4, key size 4, value size 4
	metaSize     = 64 // magic 4, version 4, page size 4, flags 4, root 8, sequence 8, freelist 8, pages 8, transaction 8, checksum 8
	bucketHeader = 16 // root page 8, sequence 8

	branchPage   = 0x01
	leafPage     = 0x02
	metaPage     = 0x04
	freelistPage = 0x10

	bucketFlag = 0x01

	magic   = 0xED0CDAED
	version = 2

	// maxHeight bounds the height of a tree: each page of one has two
	// children at least.
	maxHeight = 64
	// maxRead bounds a page that is read, with those it flows over to. Pages
	// of branches and of lists of buckets are small.
	maxRead = 16 << 20
	// depth of the buckets whose leaves are read: they hold other buckets.
	listDepth = 2
)

var order = binary.NativeEndian

// checker looks at a file before bbolt does, which trusts it: a page that leads to
// itself, say, would end the process.
type checker struct {
	file  io.ReaderAt
	size  int64 // of the file
	page  int64 // the size of a page
	pages uint64
	used  []uint64 // a bit for each page that is free or that something leads to
}

// check looks at a file: its head, the list of free pages, and all pages of trees
// but the leaves, of which there are a hundred for each other one. A file
// without contents is good.
func check(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	return checkFile(f, info.Size())
}

func checkFile(f io.ReaderAt, size int64) error {
	c := &checker{file: f, size: size}
	root, freelist, err := c.meta()
	if err != nil {
		return err
	}
	c.used = make([]uint64, c.pages/64+1)
	if err := c.freelist(freelist); err != nil {
		return err
	}
	return c.tree(root, 0)
}

// head is what the head of a file says.
type head struct {
	pageSize, magic, version             uint32
	root, freelist, pages, tx, sum, want uint64
}

func readHead(b []byte) head {
	h := head{
		magic: order.Uint32(b), version: order.Uint32(b[4:]), pageSize: order.Uint32(b[8:]),
		root: order.Uint64(b[16:]), freelist: order.Uint64(b[32:]), pages: order.Uint64(b[40:]),
		tx: order.Uint64(b[48:]), sum: order.Uint64(b[56:]),
	}
	sum := fnv.New64a()
	sum.Write(b[:56])
	h.want = sum.Sum64()
	return h
}

func (h head) valid() bool { return h.magic == magic && h.version == version && h.sum == h.want }

// meta finds the newer one of the two heads.
func (c *checker) meta() (root, freelist uint64, err error) {
	var best head
	var b [metaSize]byte
	try := func(offset int64) bool {
		if _, err := c.file.ReadAt(b[:], offset+pageHeader); err != nil {
			return false
		}
		h := readHead(b[:])
		if h.valid() && (!best.valid() || h.tx > best.tx) {
			best = h
		}
		return h.valid()
	}
	if try(0) {
		try(int64(best.pageSize))
	} else {
		for size := int64(1 << 10); size <= 1<<24 && !try(size); size <<= 1 {
		}
	}
	if !best.valid() {
		return 0, 0, damage("it is no database, or its head is damaged")
	}
	c.page, c.pages = int64(best.pageSize), best.pages
	if c.page < 512 || c.page&(c.page-1) != 0 {
		return 0, 0, damage("it has pages of %d bytes", c.page)
	}
	if held := uint64(c.size / c.page); best.pages > held || best.pages < 4 {
		return 0, 0, damage("it is cut off: it has %d of its %d pages", held, best.pages)
	}
	return best.root, best.freelist, nil
}

// use notes that a page is used, which it may be once.
func (c *checker) use(page uint64) error {
	if page < 2 || page >= c.pages {
		return damage("there is no page %d", page)
	}
	if c.used[page/64]&(1<<(page%64)) != 0 {
		return damage("page %d is used twice", page)
	}
	c.used[page/64] |= 1 << (page % 64)
	return nil
}

// read reads a page and those it flows over to, of one of the given types.
func (c *checker) read(page uint64, types uint16) ([]byte, error) {
	if err := c.use(page); err != nil {
		return nil, err
	}
	var h [pageHeader]byte
	if _, err := c.file.ReadAt(h[:], int64(page)*c.page); err != nil {
		return nil, err
	}
	flags, overflow := order.Uint16(h[8:]), uint64(order.Uint32(h[12:]))
	if id := order.Uint64(h[:]); id != page {
		return nil, damage("page %d says that it is page %d", page, id)
	}
	if flags&types == 0 || flags&(flags-1) != 0 {
		return nil, damage("page %d is of type %#x", page, flags)
	}
	if overflow >= c.pages-page {
		return nil, damage("page %d ends behind the last", page)
	}
	size := int64(overflow+1) * c.page
	if size > maxRead && flags != freelistPage {
		return nil, damage("page %d has %d bytes", page, size)
	}
	for i := range overflow {
		if err := c.use(page + 1 + i); err != nil {
			return nil, err
		}
	}
	b := make([]byte, size)
	_, err := c.file.ReadAt(b, int64(page)*c.page)
	return b, err
}

func count(page []byte) int { return int(order.Uint16(page[10:])) }

func isLeaf(page []byte) bool { return order.Uint16(page[8:]) == leafPage }

// freelist reads the list of free pages.
func (c *checker) freelist(page uint64) error {
	b, err := c.read(page, freelistPage)
	if err != nil {
		return err
	}
	list, n := b[pageHeader:], uint64(count(b))
	if n == 0xFFFF {
		n, list = order.Uint64(list), list[8:]
	}
	if n > uint64(len(list)/8) {
		return damage("the list of free pages has %d entries", n)
	}
	for last := uint64(0); n > 0; n-- {
		free := order.Uint64(list)
		if free <= last {
			return damage("the list of free pages is out of order")
		}
		if err := c.use(free); err != nil {
			return err
		}
		last, list = free, list[8:]
	}
	return nil
}

// tree checks the tree of a bucket that starts at a page.
func (c *checker) tree(root uint64, depth int) error {
	height, err := c.height(root)
	if err != nil {
		return err
	}
	return c.walk(root, height, depth)
}

// height follows the first children down to a leaf; all leaves are at one height.
func (c *checker) height(page uint64) (int, error) {
	for height := range maxHeight {
		var b [pageHeader + elementSize]byte
		if page < 2 || page >= c.pages {
			return 0, damage("there is no page %d", page)
		}
		if _, err := c.file.ReadAt(b[:], int64(page)*c.page); err != nil {
			return 0, err
		}
		if order.Uint16(b[8:]) != branchPage {
			return height, nil
		}
		page = order.Uint64(b[pageHeader+8:])
	}
	return 0, damage("a tree has no leaves")
}

// walk checks a page that is height above the leaves, and what is below.
func (c *checker) walk(page uint64, height, depth int) error {
	if height == 0 && depth >= listDepth {
		return c.use(page)
	}
	b, err := c.read(page, branchPage|leafPage)
	if err != nil {
		return err
	}
	if isLeaf(b) {
		return c.leaf(b, depth)
	}
	if height == 0 {
		return damage("page %d is no leaf", page)
	}
	return c.branch(b, page, height, depth)
}

func (c *checker) branch(b []byte, page uint64, height, depth int) error {
	n := count(b)
	if n == 0 || pageHeader+n*elementSize > len(b) {
		return damage("page %d has %d children", page, n)
	}
	var last []byte
	for i := range n {
		e := b[pageHeader+i*elementSize:]
		key, ok := cut(e, order.Uint32(e), order.Uint32(e[4:]))
		if !ok || len(key) == 0 || i > 0 && bytes.Compare(last, key) >= 0 {
			return damage("key %d of page %d is damaged", i, page)
		}
		last = key
		if err := c.walk(order.Uint64(e[8:]), height-1, depth); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks a leaf, and the buckets that are in it.
func (c *checker) leaf(b []byte, depth int) error {
	n := count(b)
	if pageHeader+n*elementSize > len(b) {
		return damage("a leaf has %d entries", n)
	}
	for i := range n {
		e := b[pageHeader+i*elementSize:]
		flags, position, keySize, valueSize := order.Uint32(e), order.Uint32(e[4:]), order.Uint32(e[8:]), order.Uint32(e[12:])
		key, ok := cut(e, position, keySize)
		value, fits := cut(e, position+keySize, valueSize)
		if !ok || !fits || len(key) == 0 || position+keySize < position {
			return damage("entry %d of a leaf is damaged", i)
		}
		if flags&bucketFlag == 0 {
			continue
		}
		if err := c.bucket(value, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// bucket checks a bucket, which small ones hold themselves.
func (c *checker) bucket(value []byte, depth int) error {
	if len(value) < bucketHeader || depth > listDepth {
		return damage("a bucket is damaged")
	}
	root := order.Uint64(value)
	if root != 0 {
		return c.tree(root, depth)
	}
	inline := value[bucketHeader:]
	if len(inline) < pageHeader || !isLeaf(inline) {
		return damage("a small bucket is damaged")
	}
	return c.leaf(inline, depth)
}

// cut is the size bytes at a position of b.
func cut(b []byte, position, size uint32) ([]byte, bool) {
	if uint64(position)+uint64(size) > uint64(len(b)) {
		return nil, false
	}
	return b[position:][:size], true
}
