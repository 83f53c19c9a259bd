// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"encoding/binary"
	"net"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// What a socket has to read into, from its first datagram on: 256 KiB, of which
// the system touches what it fills.
const (
	groBatch = 4        // runs that one call reads
	groSize  = 64 << 10 // bytes of a run; no datagram is larger
	groOOB   = 128      // bytes of its control messages; quic-go has as many
)

// groReader reads with generic receive offload, by which the system hands over a
// run of datagrams as one. It begins with the second batch: a socket that nobody
// sends to needs no buffers.
//
// Spec: udp(7), UDP_GRO.
type groReader struct {
	udp   *net.UDPConn
	batch *ipv4.PacketConn // works for IPv6 too: the calls are the same
	asked bool             // whether there is such an offload
	runs  []ipv4.Message   // nil without it
	cutter
}

func newBatchReader(c *net.UDPConn) batchReader {
	return &groReader{udp: c, batch: ipv4.NewPacketConn(c)}
}

// ReadBatch implements batchReader.
func (r *groReader) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	if r.runs == nil {
		n, err := r.batch.ReadBatch(ms, flags)
		if n > 0 && !r.asked {
			r.asked = true
			r.enable()
		}
		return n, err
	}
	for {
		if n := r.cut(ms); n > 0 {
			return n, nil
		}
		n, err := r.batch.ReadBatch(r.runs, flags)
		if err != nil {
			return 0, err
		}
		r.cutter = cutter{runs: r.runs[:n]}
	}
}

// enable turns the offload on, if the system has it.
func (r *groReader) enable() {
	if enableGRO(r.udp) != nil {
		return
	}
	r.runs = make([]ipv4.Message, groBatch)
	for i := range r.runs {
		r.runs[i] = ipv4.Message{Buffers: [][]byte{make([]byte, groSize)}, OOB: make([]byte, groOOB)}
	}
}

func enableGRO(c syscall.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	})
	if err != nil {
		return err
	}
	return refused
}

// cutter makes datagrams of runs again.
type cutter struct {
	runs []ipv4.Message // which are not cut to their end

	// Of the first of them.
	size int    // of its datagrams in bytes, but for the last; 0 before it is begun
	done int    // bytes that are cut off
	oob  []byte // control messages for each of its datagrams
}

// cut fills messages with datagrams, and returns how many; with 0 no run is left.
// What there is no room for stays. Datagrams that are larger than a buffer are
// dropped.
func (c *cutter) cut(ms []ipv4.Message) (n int) {
	for n < len(ms) && len(c.runs) > 0 {
		run := &c.runs[0]
		if c.size == 0 {
			c.size, c.oob = segmentSize(run.OOB[:run.NN])
			if c.size <= 0 || c.size > run.N {
				c.size = max(run.N, 1)
			}
		}
		b := run.Buffers[0][c.done:min(c.done+c.size, run.N)]
		if m := &ms[n]; len(b) <= len(m.Buffers[0]) && len(c.oob) <= len(m.OOB) {
			m.N, m.NN = copy(m.Buffers[0], b), copy(m.OOB, c.oob)
			m.Addr, m.Flags = run.Addr, run.Flags
			n++
		}
		if c.done += len(b); c.done == run.N {
			*c = cutter{runs: c.runs[1:]}
		}
	}
	return n
}

// segmentSize takes the size of a run's datagrams out of its control messages. It
// is 0 for what is one datagram.
func segmentSize(oob []byte) (size int, others []byte) {
	for at := 0; at < len(oob); {
		if len(oob)-at < unix.SizeofCmsghdr {
			return size, oob[:at]
		}
		h, body, rest, err := unix.ParseOneSocketControlMessage(oob[at:])
		if err != nil {
			return size, oob[:at]
		}
		if h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO && len(body) >= 4 {
			size = int(int32(binary.NativeEndian.Uint32(body)))
			oob = append(oob[:at], rest...)
			continue
		}
		at = len(oob) - len(rest)
	}
	return size, oob
}
