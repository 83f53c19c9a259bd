// SPDX-License-Identifier: Apache-2.0 OR MIT

package bbolt

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// errSpoiled means that an entry is not what was written.
var errSpoiled = errors.New("the entry is damaged")

// errLocked means that somebody else has the file.
var errLocked = errors.New("locked")

// headerSize is what stands before a value: a checksum of all that follows and of
// the key, the number of the write, when it was, and when the entry expires (0 for
// never), in nanoseconds of Unix time.
const headerSize = 4 + 8 + 8 + 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is what is kept of an entry beside key and value.
type header struct {
	seq              uint64
	written, expires int64
}

func (h header) expired(now time.Time) bool { return h.expires != 0 && h.expires <= now.UnixNano() }

// nanoseconds is a time as it is kept; what is too far away is never.
func nanoseconds(t time.Time) int64 {
	switch {
	case t.IsZero(), t.Year() > 2261:
		return 0
	case t.Year() < 1678:
		return math.MinInt64
	}
	return t.UnixNano()
}

// encode makes what is kept under a key.
func encode(h header, key, value []byte) []byte {
	b := make([]byte, headerSize, headerSize+len(value))
	binary.BigEndian.PutUint64(b[4:], h.seq)
	binary.BigEndian.PutUint64(b[12:], uint64(h.written))
	binary.BigEndian.PutUint64(b[20:], uint64(h.expires))
	b = append(b, value...)
	binary.BigEndian.PutUint32(b, checksum(key, b[4:]))
	return b
}

func checksum(key, rest []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, rest)
}

// plausible tells whether key and value have lengths that they can have.
func plausible(key, stored []byte) bool {
	return len(key) > 0 && len(key) <= core.MaxStorageKey &&
		len(stored) >= headerSize && len(stored) <= headerSize+core.MaxStorageValue
}

// peek reads the header without looking whether it is right. The entry must be
// plausible.
func peek(stored []byte) header {
	return header{
		seq:     binary.BigEndian.Uint64(stored[4:]),
		written: int64(binary.BigEndian.Uint64(stored[12:])),
		expires: int64(binary.BigEndian.Uint64(stored[20:])),
	}
}

// decode reads what is kept under a key. The value is part of stored.
func decode(key, stored []byte) (h header, value []byte, err error) {
	if !plausible(key, stored) || binary.BigEndian.Uint32(stored) != checksum(key, stored[4:]) {
		return header{}, nil, errSpoiled
	}
	return peek(stored), stored[headerSize:], nil
}

// entry copies an entry out of the file.
func (h header) entry(key, value []byte) core.Entry {
	both := append(append(make([]byte, 0, len(key)+len(value)), key...), value...)
	e := core.Entry{Key: both[:len(key):len(key)], Value: both[len(key):], Written: time.Unix(0, h.written).Truncate(time.Second)}
	if h.expires != 0 {
		e.Expires = time.Unix(0, h.expires)
	}
	return e
}

// tally is what is kept of a table beside its entries.
type tally struct {
	entries, bytes int64
	next           uint64 // the number of the next write
}

const tallySize = 3*8 + 4

func (t tally) encode() []byte {
	b := make([]byte, tallySize)
	binary.BigEndian.PutUint64(b, uint64(t.entries))
	binary.BigEndian.PutUint64(b[8:], uint64(t.bytes))
	binary.BigEndian.PutUint64(b[16:], t.next)
	binary.BigEndian.PutUint32(b[24:], crc32.Checksum(b[:24], castagnoli))
	return b
}

// decodeTally reads a tally; that of a new table is nil.
func decodeTally(b []byte) (tally, error) {
	if b == nil {
		return tally{next: 1}, nil
	}
	if len(b) != tallySize || binary.BigEndian.Uint32(b[24:]) != crc32.Checksum(b[:24], castagnoli) {
		return tally{}, damage("the count of a table is damaged")
	}
	return tally{
		entries: int64(binary.BigEndian.Uint64(b)),
		bytes:   int64(binary.BigEndian.Uint64(b[8:])),
		next:    binary.BigEndian.Uint64(b[16:]),
	}, nil
}

func (t tally) stat() core.TableStat {
	return core.TableStat{Entries: int(t.entries), Bytes: t.bytes}
}
