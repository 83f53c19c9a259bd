// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcstream

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// maxFrame is how long a frame may be, its length prefix included, in
	// bytes. The specification says so, for the sake of browsers.
	maxFrame = 16 << 10
	// maxWhole is how long a frame may be to be sent as one message, in bytes.
	// go-libp2p does not read longer ones but in two parts, the length prefix
	// and the rest.
	maxWhole = 4 << 10
	// maxPrefix is the longest length prefix of a frame.
	maxPrefix = 3
	// dataOverhead is what a frame has besides its data: the length, the tag
	// of the data and the length of that.
	dataOverhead = maxPrefix + 1 + maxPrefix
)

// errFrame means that the remote does not keep to the framing.
var errFrame = errors.New("malformed frame")

// flag is what a frame says about its stream.
type flag uint8

// The flags. On the wire they are one less.
const (
	noFlag flag = iota
	flagFIN
	flagStopSending
	flagReset
	flagFINACK
)

// frame is one message of a stream.
type frame struct {
	flag flag
	code core.StreamCode // of STOP_SENDING and RESET
	data []byte
}

// The fields of the message. The code is an addition of go-libp2p's.
const (
	flagField = 1
	dataField = 2
	codeField = 3
)

// appendFrame appends a frame that carries a flag, or data, or both.
func appendFrame(b []byte, f frame) []byte {
	size := 0
	if f.flag != noFlag {
		size += 2
	}
	if len(f.data) > 0 {
		size += 1 + varintSize(len(f.data)) + len(f.data)
	}
	if f.code != 0 {
		size += 1 + varintSize(int(f.code))
	}
	b = wire.AppendUvarint(b, uint64(size))
	if f.flag != noFlag {
		b = append(b, flagField<<3, byte(f.flag-1))
	}
	if len(f.data) > 0 {
		b = append(b, dataField<<3|2)
		b = wire.AppendUvarint(b, uint64(len(f.data)))
		b = append(b, f.data...)
	}
	if f.code != 0 {
		b = append(b, codeField<<3)
		b = wire.AppendUvarint(b, uint64(f.code))
	}
	return b
}

func varintSize(n int) int { return (bits.Len64(uint64(n)|1) + 6) / 7 }

// parseFrame decodes the frame at the start of b, whose data is a part of b, and
// tells how long it is; that is 0 if b ends within it. Flags and fields that
// are unknown are passed over.
func parseFrame(b []byte) (f frame, n int, err error) {
	size, n, err := wire.Uvarint(b)
	switch {
	case err == io.ErrUnexpectedEOF && len(b) < maxPrefix:
		return frame{}, 0, nil
	case err != nil:
		return frame{}, 0, fmt.Errorf("%w: length: %w", errFrame, err)
	case size > uint64(maxFrame-n):
		return frame{}, 0, fmt.Errorf("%w: %d bytes, limit %d", errFrame, size, maxFrame)
	case uint64(len(b)-n) < size:
		return frame{}, 0, nil
	}
	end := n + int(size)
	for field, err := range wire.Fields(b[n:end]) {
		if err == nil {
			err = f.take(field)
		}
		if err != nil {
			return frame{}, 0, fmt.Errorf("%w: %w", errFrame, err)
		}
	}
	return f, end, nil
}

func (f *frame) take(field wire.Field) (err error) {
	var v uint64
	switch field.Num {
	case flagField:
		if v, err = field.Uint64(); v < uint64(flagFINACK) {
			f.flag = flag(v + 1)
		}
	case dataField:
		f.data, err = field.Bytes()
	case codeField:
		v, err = field.Uint64()
		f.code = core.StreamCode(min(v, math.MaxUint32))
	}
	return err
}
