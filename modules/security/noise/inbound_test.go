// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"golang.org/x/crypto/chacha20poly1305"
)

// newSealer returns one direction of a connection with a known key.
func newSealer(t testing.TB) sealer {
	t.Helper()
	aead, err := chacha20poly1305.New(make([]byte, chacha20poly1305.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return sealer{aead: aead}
}

// newInbound returns a reader of the records in src.
func newInbound(t testing.TB, src io.Reader) *inbound {
	t.Helper()
	in := new(inbound)
	in.init(src, new(buffers), maxFrame)
	in.sealer = newSealer(t)
	return in
}

// records encrypts each plaintext as one record.
func records(t testing.TB, plaintexts ...[]byte) []byte {
	t.Helper()
	s := newSealer(t)
	var stream []byte
	for _, p := range plaintexts {
		record, err := s.seal(nil, p)
		if err != nil {
			t.Fatal(err)
		}
		stream = binary.BigEndian.AppendUint16(stream, uint16(len(record)))
		stream = append(stream, record...)
	}
	return stream
}

// readsOf counts the reads that in needs for its stream, which hands out as
// much as it is asked for.
func readsOf(t *testing.T, stream []byte) (reads int) {
	t.Helper()
	in := newInbound(t, &counter{bytes.NewReader(stream), &reads})
	p := make([]byte, 4096)
	for {
		if _, err := in.read(p); err == io.EOF {
			return reads
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

type counter struct {
	io.Reader
	n *int
}

func (c *counter) Read(p []byte) (int, error) {
	*c.n++
	return c.Reader.Read(p)
}

func TestReadsPerRecord(t *testing.T) {
	var large, small [][]byte
	for range 100 {
		large = append(large, make([]byte, maxPlaintext))
		small = append(small, make([]byte, 100))
	}
	if n := readsOf(t, records(t, large...)); n > 105 {
		t.Errorf("100 large records took %d reads", n)
	}
	if n := readsOf(t, records(t, small...)); n > 8 {
		t.Errorf("100 small records took %d reads", n)
	}
}

func TestRecordsDoNotAllocate(t *testing.T) {
	out := outbound{dst: io.Discard, pool: new(buffers), sealer: newSealer(t)}
	p := make([]byte, 64<<10)
	if n := testing.AllocsPerRun(100, func() { _, _ = out.write(p[:1000]) }); n > 0 {
		t.Errorf("a short write allocates %v times", n)
	}
	plaintexts := make([][]byte, 200)
	for i := range plaintexts {
		plaintexts[i] = make([]byte, 500)
	}
	in := newInbound(t, bytes.NewReader(records(t, plaintexts...)))
	if n := testing.AllocsPerRun(100, func() { _, _ = in.read(p) }); n > 0 {
		t.Errorf("a read allocates %v times", n)
	}
}

func TestEmptyRecordsAreSkipped(t *testing.T) {
	in := newInbound(t, iotest.OneByteReader(bytes.NewReader(records(t, nil, nil, []byte("x"), nil))))
	p := make([]byte, 10)
	if n, err := in.read(p); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := in.read(p); n != 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
}

func TestReaderOddities(t *testing.T) {
	stream := records(t, []byte("hello"))
	in := newInbound(t, iotest.DataErrReader(bytes.NewReader(stream)))
	p := make([]byte, 10)
	if n, err := in.read(p); n != 5 || err != nil {
		t.Errorf("data with an error: %d, %v", n, err)
	}
	if _, err := in.read(p); err != io.EOF {
		t.Errorf("the error behind it: %v", err)
	}
	if _, err := newInbound(t, empty{}).read(p); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that returns nothing: %v", err)
	}
}

type empty struct{}

func (empty) Read([]byte) (int, error) { return 0, nil }

func FuzzFrames(f *testing.F) {
	good := records(f, []byte("one"), nil, make([]byte, 1100), []byte("end"))
	f.Add(good, uint8(3), uint16(5))
	f.Add(good[:len(good)-1], uint8(255), uint16(4096))
	f.Add([]byte{0xff, 0xff, 0}, uint8(1), uint16(1))
	f.Add([]byte{0, 0, 0, 15}, uint8(0), uint16(0))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8, size uint16) {
		in := newInbound(t, &pieces{stream, int(piece) + 1})
		p := make([]byte, int(size)+1)
		var got []byte
		for {
			n, err := in.read(p)
			got = append(got, p[:n]...)
			if err != nil {
				break
			}
		}
		// Only what was encrypted with the key comes out: the plaintext of the
		// longest run of records at the start.
		s := newSealer(t)
		var want []byte
		for rest := stream; len(rest) >= 2; {
			end := 2 + int(binary.BigEndian.Uint16(rest))
			if end > len(rest) {
				break
			}
			plain, err := s.open(nil, rest[2:end])
			if err != nil {
				break
			}
			want = append(want, plain...)
			rest = rest[end:]
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("read %d bytes, want %d", len(got), len(want))
		}
		if in.failed != nil {
			if n, err := in.read(p); n != 0 || err != in.failed {
				t.Fatalf("after a failure: %d, %v", n, err)
			}
		}
	})
}

// pieces hands out a stream n bytes at a time.
type pieces struct {
	rest []byte
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(p.n, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}
