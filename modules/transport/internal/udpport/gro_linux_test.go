// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// cmsg is a control message.
func cmsg(level, kind int32, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	const lenSize = unix.SizeofCmsghdr - 8
	if lenSize == 8 {
		binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(len(data))))
	} else {
		binary.NativeEndian.PutUint32(b, uint32(unix.CmsgLen(len(data))))
	}
	binary.NativeEndian.PutUint32(b[lenSize:], uint32(level))
	binary.NativeEndian.PutUint32(b[lenSize+4:], uint32(kind))
	copy(b[unix.CmsgLen(0):], data)
	return b
}

func groSegment(size int) []byte {
	return cmsg(unix.IPPROTO_UDP, unix.UDP_GRO, binary.NativeEndian.AppendUint32(nil, uint32(size)))
}

var (
	tos     = cmsg(unix.IPPROTO_IP, unix.IP_TOS, []byte{2})
	pktinfo = cmsg(unix.IPPROTO_IP, unix.IP_PKTINFO, make([]byte, unix.SizeofInet4Pktinfo))
)

// room makes messages to cut into, as quic-go has them.
func room(n int) []ipv4.Message {
	ms := make([]ipv4.Message, n)
	for i := range ms {
		ms[i] = ipv4.Message{Buffers: [][]byte{make([]byte, maxDatagram)}, OOB: make([]byte, groOOB)}
	}
	return ms
}

// newRun is a run as the system hands it over.
func newRun(from int, data, oob []byte) ipv4.Message {
	return ipv4.Message{
		Buffers: [][]byte{append(slices.Clone(data), 0xff)}, // of which nothing may be seen beyond N
		N:       len(data), OOB: append(slices.Clone(oob), 0xff), NN: len(oob),
		Addr: &net.UDPAddr{Port: from},
	}
}

// cutAll returns the lengths of the datagrams of runs, cut into batches.
func cutAll(t testing.TB, batch int, oob []byte, runs ...ipv4.Message) (lengths []int, data []byte) {
	t.Helper()
	c := cutter{runs: runs}
	ms := room(batch)
	for {
		n := c.cut(ms)
		if n == 0 {
			return lengths, data
		}
		for _, m := range ms[:n] {
			if got := m.OOB[:m.NN]; !bytes.Equal(got, oob) {
				t.Errorf("control messages are %x, want %x", got, oob)
			}
			lengths, data = append(lengths, m.N), append(data, m.Buffers[0][:m.N]...)
		}
	}
}

func TestCut(t *testing.T) {
	pattern := make([]byte, groSize)
	for i := range pattern {
		pattern[i] = byte(i / 7)
	}
	for name, tc := range map[string]struct {
		total, size int // 0 for no size
		want        []int
	}{
		"one datagram":       {total: 1200, want: []int{1200}},
		"empty":              {want: []int{0}},
		"one of its size":    {total: 1200, size: 1200, want: []int{1200}},
		"shorter than said":  {total: 100, size: 1200, want: []int{100}},
		"empty with a size":  {size: 1200, want: []int{0}},
		"equal":              {total: 3000, size: 1000, want: []int{1000, 1000, 1000}},
		"short last":         {total: 2001, size: 1000, want: []int{1000, 1000, 1}},
		"of a byte":          {total: 3, size: 1, want: []int{1, 1, 1}},
		"negative size":      {total: 3, size: -5, want: []int{3}},
		"as large as can be": {total: 2 * maxDatagram, size: maxDatagram, want: []int{maxDatagram, maxDatagram}},
		"too large":          {total: 3 * maxDatagram, size: maxDatagram + 1, want: []int{maxDatagram - 2}},
		"one too large":      {total: groSize},
		"full":               {total: groSize, size: 1024, want: slices.Repeat([]int{1024}, 64)},
	} {
		oob := slices.Concat(tos, pktinfo)
		if tc.size != 0 {
			oob = slices.Concat(tos, groSegment(tc.size), pktinfo)
		}
		for _, batch := range []int{1, 3, 8, 100} {
			run := newRun(1, pattern[:tc.total], oob)
			lengths, data := cutAll(t, batch, slices.Concat(tos, pktinfo), run)
			if diff := cmp.Diff(tc.want, lengths); diff != "" {
				t.Errorf("%s, %d at a time: %s", name, batch, diff)
			}
			if name != "too large" && name != "one too large" && !bytes.Equal(data, pattern[:tc.total]) {
				t.Errorf("%s, %d at a time: other bytes", name, batch)
			}
		}
	}
}

// TestCutManyRuns has runs from different remotes in one batch, and one that goes
// on in the next.
func TestCutManyRuns(t *testing.T) {
	c := cutter{runs: []ipv4.Message{
		newRun(1, []byte("aabbc"), groSegment(2)),
		newRun(2, make([]byte, maxDatagram+1), nil), // dropped
		newRun(3, nil, tos),
		newRun(4, []byte("dddeee"), slices.Concat(groSegment(3), tos)),
	}}
	type datagram struct {
		From int
		Data string
		TOS  bool
	}
	ms := room(4)
	for _, want := range [][]datagram{
		{{1, "aa", false}, {1, "bb", false}, {1, "c", false}, {3, "", true}},
		{{4, "ddd", true}, {4, "eee", true}},
		nil,
	} {
		var got []datagram
		for _, m := range ms[:c.cut(ms)] {
			got = append(got, datagram{m.Addr.(*net.UDPAddr).Port, string(m.Buffers[0][:m.N]), bytes.Equal(m.OOB[:m.NN], tos)})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestCutAllocatesNothing(t *testing.T) {
	data, oob := make([]byte, 10*1200), slices.Concat(groSegment(1200), tos)
	run, ms := []ipv4.Message{newRun(1, data, nil)}, room(8)
	run[0].OOB = make([]byte, len(oob))
	allocs := testing.AllocsPerRun(100, func() {
		run[0].NN = copy(run[0].OOB, oob)
		c := cutter{runs: run}
		for c.cut(ms) > 0 {
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func FuzzCut(f *testing.F) {
	f.Add([]byte("aabbc"), groSegment(2), uint8(7))
	f.Add(make([]byte, 3000), slices.Concat(tos, groSegment(1200), pktinfo), uint8(0))
	f.Add([]byte{}, tos[:10], uint8(3))
	f.Add([]byte("x"), cmsg(unix.IPPROTO_UDP, unix.UDP_GRO, nil), uint8(0))
	f.Fuzz(func(t *testing.T, data, oob []byte, batch uint8) {
		if len(data) > groSize || len(oob) > groOOB {
			return
		}
		size, others := segmentSize(slices.Clone(oob))
		if again, same := segmentSize(slices.Clone(others)); again != 0 || !bytes.Equal(same, others) {
			t.Errorf("%x has a size still", others)
		}
		if size <= 0 || size > len(data) {
			size = len(data)
		}
		lengths, got := cutAll(t, int(batch%16)+1, others, newRun(1, data, oob))
		if size > maxDatagram {
			if len(lengths) > 1 {
				t.Errorf("%d datagrams of a run of large ones", len(lengths))
			}
			return
		}
		if !bytes.Equal(got, data) {
			t.Errorf("%d bytes, want %d", len(got), len(data))
		}
		for i, n := range lengths {
			if n != size && (i < len(lengths)-1 || n > size) {
				t.Errorf("datagrams of %v bytes, want %d", lengths, size)
			}
		}
	})
}

// TestNoGRO asks sockets that have no such offload.
func TestNoGRO(t *testing.T) {
	stream, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(loopback4))
	if err != nil {
		t.Fatal(err)
	}
	if err := enableGRO(stream); err == nil {
		t.Error("enabled for TCP")
	}
	stream.Close()
	if err := enableGRO(stream); !errors.Is(err, net.ErrClosed) {
		t.Errorf("enabled on a closed socket: %v", err)
	}
}

// TestSieveOfRuns sends runs with datagrams of all kinds through real sockets, to
// a reader that asks for the offload and to one that has been refused it.
func TestSieveOfRuns(t *testing.T) {
	const (
		size  = 100
		kinds = "\x40\x01\x14\x05\xc0" // QUIC, STUN, DTLS, nobody's, QUIC
		ect0  = 2
	)
	var run []byte
	for i := range 4 * len(kinds) {
		run = append(run, slices.Concat([]byte{kinds[i%len(kinds)], byte(i)}, make([]byte, size-2))...)
	}
	run = run[:len(run)-size+2] // and a short last one
	var wantQUIC, wantOthers []datagramSeen
	for b := range slices.Chunk(run, size) {
		seen := datagramSeen{int(b[1]), len(b)}
		switch b[0] {
		case 0x40, 0xc0:
			wantQUIC = append(wantQUIC, seen)
		case 1, 20:
			wantOthers = append(wantOthers, seen)
		}
	}
	for name, refused := range map[string]bool{"offload": false, "refused": true} {
		t.Run(name, func(t *testing.T) {
			c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(loopback4))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			raw, err := c.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1) })
			s := &socket{udp: c}
			k := (&Port{socket: s}).Packets(nil)
			v := newSieve(s)
			reader := v.batch.(*groReader)
			reader.asked = refused
			r := newRemote(t, addrPort(c.LocalAddr()))
			ms := room(8)
			r.send(kinds[0])
			if n, err := v.ReadBatch(ms, 0); n != 1 || err != nil {
				t.Fatalf("%d datagrams, %v", n, err)
			}
			if (reader.runs == nil) != refused {
				t.Errorf("reads %d runs at a time", len(reader.runs))
			}
			r.sendRun(size, ect0, run)
			var quic, others []datagramSeen
			for len(quic) < len(wantQUIC) {
				n, err := v.ReadBatch(ms, 0)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range ms[:n] {
					quic = append(quic, datagramSeen{int(m.Buffers[0][1]), m.N})
					if from := addrPort(m.Addr); from != r.at() {
						t.Errorf("from %s, want %s", from, r.at())
					}
					if h, body, rest, err := unix.ParseOneSocketControlMessage(m.OOB[:m.NN]); err != nil || h.Type != unix.IP_TOS || body[0] != ect0 || rest != nil {
						t.Errorf("control messages are %x", m.OOB[:m.NN])
					}
				}
			}
			if !refused && reader.runs[0].N != len(run) {
				t.Errorf("%d bytes come at once, want all %d", reader.runs[0].N, len(run))
			}
			for len(k.queue) > 0 {
				d := <-k.queue
				others = append(others, datagramSeen{int((*d.buffer)[1]), len(*d.buffer)})
			}
			if diff := cmp.Diff([][]datagramSeen{wantQUIC, wantOthers}, [][]datagramSeen{quic, others}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

type datagramSeen struct{ Number, Length int }

// sendRun sends datagrams of a size in one call.
func (r remote) sendRun(size uint16, tos byte, data []byte) {
	r.t.Helper()
	oob := cmsg(unix.IPPROTO_UDP, unix.UDP_SEGMENT, binary.NativeEndian.AppendUint16(nil, size))
	oob = append(oob, cmsg(unix.IPPROTO_IP, unix.IP_TOS, binary.NativeEndian.AppendUint32(nil, uint32(tos)))...)
	if _, _, err := r.WriteMsgUDP(data, oob, nil); err != nil {
		r.t.Fatal(err)
	}
}
