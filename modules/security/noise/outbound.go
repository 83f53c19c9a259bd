// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"encoding/binary"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	// recordOverhead is what a record takes beyond its plaintext, in bytes.
	recordOverhead = headerSize + chacha20poly1305.Overhead
	// maxPlaintext is the most data that one record carries, in bytes.
	maxPlaintext = maxFrame - chacha20poly1305.Overhead
)

// outbound encrypts what is written to a connection.
type outbound struct {
	dst    io.Writer
	pool   *buffers
	sealer sealer
	failed error // after which nothing is sent: a record may have been cut off
}

// write sends p as one record or more, as many at a time as fit into a buffer.
// The buffer is given back before it returns.
func (out *outbound) write(p []byte) (int, error) {
	if out.failed != nil {
		return 0, out.failed
	}
	written := 0
	for written < len(p) {
		n, err := out.writeSome(p[written:])
		if err != nil {
			out.failed = err
			return written, err
		}
		written += n
	}
	return written, nil
}

// writeSome sends the first records of p with one write.
func (out *outbound) writeSome(p []byte) (int, error) {
	records := 1 + (len(p)-1)/maxPlaintext
	buf := out.pool.get(min(len(p)+records*recordOverhead, largeBuffer))
	defer out.pool.put(buf)
	taken, filled := 0, 0
	for taken < len(p) && filled+recordOverhead < len(buf) {
		size := min(len(p)-taken, maxPlaintext, len(buf)-filled-recordOverhead)
		body := filled + headerSize
		record, err := out.sealer.seal(buf[body:body], p[taken:taken+size])
		if err != nil {
			return 0, err
		}
		binary.BigEndian.PutUint16(buf[filled:], uint16(len(record)))
		filled = body + len(record)
		taken += size
	}
	if _, err := out.dst.Write(buf[:filled]); err != nil {
		return 0, err
	}
	return taken, nil
}
