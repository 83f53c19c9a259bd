// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// headerSize is that of a frame's length, big endian.
	headerSize = 2
	// maxFrame is the longest frame, in bytes, without its header.
	maxFrame = 1<<16 - 1

	// ahead is the size from which a frame is read alone, but for the header of
	// the next one: what more were read would have to be moved to make room
	// for the rest of that frame. Shorter ones are read many at once.
	ahead = 16 << 10

	// maxEmptyReads is how often in a row a connection may return nothing.
	maxEmptyReads = 100
)

// inbound cuts what arrives on a connection into frames, and decrypts them.
//
// Reads go to a buffer that is as small as the frame at hand allows, and one
// size larger if the last read filled its part: then there is more to come.
// So whoever waits for a frame to begin waits with the small buffer, and in
// bulk a frame takes about one read.
type inbound struct {
	src  io.Reader
	pool *buffers
	max  int // the longest frame that is accepted, in bytes

	buf  []byte // small or from the pool; buf[r:w] is read and not yet used
	r, w int
	full bool  // the last read returned all it was asked for
	late error // what the last read returned besides data

	sealer sealer
	plain  []byte // the part of buf that is decrypted and not yet given out
	failed error  // after which nothing is accepted any more

	small [smallBuffer]byte
}

func (in *inbound) init(src io.Reader, pool *buffers, max int) {
	in.src, in.pool, in.max = src, pool, max
	in.buf = in.small[:]
}

// read returns decrypted data. One record is given out at a time.
func (in *inbound) read(p []byte) (int, error) {
	for len(in.plain) == 0 {
		record, size, err := in.record()
		if err != nil {
			return 0, err
		}
		dst := record[:0]
		direct := size <= len(p)
		if direct {
			dst = p[:0:len(p)]
		}
		plain, err := in.decrypt(dst, record)
		if err != nil {
			return 0, err
		}
		if direct && size > 0 {
			return size, nil
		}
		if !direct {
			in.plain = plain
		}
	}
	n := copy(p, in.plain)
	in.plain = in.plain[n:]
	return n, nil
}

// readRecord decrypts a record to where room says.
func (in *inbound) readRecord(room func(n int) []byte) (int, error) {
	if n := len(in.plain); n > 0 {
		copy(room(n), in.plain)
		in.plain = nil
		return n, nil
	}
	for {
		record, size, err := in.record()
		if err != nil {
			return 0, err
		}
		dst := record[:0]
		if size > 0 {
			dst = room(size)[:0]
		}
		if _, err := in.decrypt(dst, record); err != nil {
			return 0, err
		}
		if size > 0 {
			return size, nil
		}
	}
}

// record returns the next record, which is a part of the buffer, and how much
// data is in it.
func (in *inbound) record() (record []byte, size int, err error) {
	if in.failed != nil {
		return nil, 0, in.failed
	}
	if record, err = in.frame(); err != nil {
		return nil, 0, err
	}
	if size = len(record) - in.sealer.aead.Overhead(); size < 0 {
		return nil, 0, in.fail(fmt.Errorf("noise: record of %d bytes is shorter than its tag", len(record)))
	}
	return record, size, nil
}

func (in *inbound) decrypt(dst, record []byte) ([]byte, error) {
	plain, err := in.sealer.open(dst, record)
	if err != nil {
		return nil, in.fail(fmt.Errorf("noise: record refused: %w", err))
	}
	return plain, nil
}

func (in *inbound) fail(err error) error {
	in.failed = err
	return err
}

// frame returns the next frame without its header. It is a part of the buffer
// and good until the next call. At the end of the connection the error is
// [io.EOF] itself; any error can be met again, and those that pass, such as
// deadlines, lose nothing.
func (in *inbound) frame() ([]byte, error) {
	for {
		need := headerSize
		if have := in.buf[in.r:in.w]; len(have) >= headerSize {
			size := int(binary.BigEndian.Uint16(have))
			if size > in.max {
				return nil, fmt.Errorf("frame of %d bytes, limit %d: %w", size, in.max, wire.ErrTooLarge)
			}
			need += size
			if len(have) >= need {
				in.r += need
				return have[headerSize:need:need], nil
			}
		}
		if err := in.fill(need); err != nil {
			return nil, err
		}
	}
}

// fill reads once, for a frame that has need bytes with its header.
func (in *inbound) fill(need int) error {
	in.makeRoom(need)
	end := len(in.buf)
	if need > ahead {
		end = min(end, in.r+need+headerSize)
	}
	err := in.late
	in.late = nil
	for range maxEmptyReads {
		if err != nil {
			break
		}
		var n int
		n, err = in.src.Read(in.buf[in.w:end])
		if n > 0 {
			in.w += n
			in.full = in.w == end
			in.late = err
			return nil
		}
	}
	switch {
	case err == nil:
		return io.ErrNoProgress
	case err == io.EOF && in.w > in.r:
		return fmt.Errorf("frame cut off: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// makeRoom sees to it that a frame of need bytes fits into the buffer behind r,
// and that the buffer is no larger than it should be.
func (in *inbound) makeRoom(need int) {
	want := need
	if in.full {
		want = max(want, min(len(in.buf)+1, largeBuffer))
	}
	if old, size := in.buf, in.bufferSize(want); len(old) != size {
		switch size {
		case smallBuffer:
			in.buf = in.small[:]
		case mediumBuffer, largeBuffer:
			in.buf = in.pool.get(size)
		default:
			in.buf = make([]byte, size)
		}
		in.r, in.w = 0, copy(in.buf, old[in.r:in.w])
		in.pool.put(old)
		return
	}
	if in.r > 0 && (in.r == in.w || in.r+need > len(in.buf)) {
		in.r, in.w = 0, copy(in.buf, in.buf[in.r:in.w])
	}
}

// bufferSize is the size of the smallest buffer with room for n bytes, or for
// the longest frame that is accepted: who is not known yet gets no large one.
func (in *inbound) bufferSize(n int) int {
	switch {
	case n <= smallBuffer:
		return smallBuffer
	case n <= mediumBuffer:
		return mediumBuffer
	case in.max < maxFrame:
		return headerSize + in.max
	}
	return largeBuffer
}
