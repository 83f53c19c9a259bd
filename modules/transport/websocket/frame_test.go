// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

// frame is a frame as RFC 6455 draws it, with whatever is wrong with it.
type frame struct {
	first   byte // FIN, the reserved bits and the opcode
	masked  bool
	payload string
	length  uint64 // if it is not that of payload
}

func (f frame) encode() []byte {
	b := []byte{f.first}
	mask := byte(0)
	if f.masked {
		mask = maskBit
	}
	length := f.length
	if length == 0 {
		length = uint64(len(f.payload))
	}
	switch {
	case length < 126:
		b = append(b, mask|byte(length))
	case length < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), length)
	}
	if !f.masked {
		return append(b, f.payload...)
	}
	const key = 0x89ABCDEF
	return append(binary.LittleEndian.AppendUint32(b, key), slowMask([]byte(f.payload), key)...)
}

func encode(frames ...frame) []byte {
	var b []byte
	for _, f := range frames {
		b = append(b, f.encode()...)
	}
	return b
}

// inboundOf reads from r.
func inboundOf(r io.Reader, masked bool, pongs *[]string) *inbound {
	in := new(inbound)
	in.init(r, nil, new(buffers), masked)
	in.pong = func(p []byte) {
		if pongs != nil {
			*pongs = append(*pongs, string(p))
		}
	}
	return in
}

func readAll(in *inbound) (string, error) {
	var got bytes.Buffer
	p := make([]byte, 1000)
	for {
		n, err := in.read(p)
		got.Write(p[:n])
		if err != nil {
			return got.String(), err
		}
	}
}

func TestInbound(t *testing.T) {
	long := strings.Repeat("0123456789", 20_000)
	for name, tc := range map[string]struct {
		frames []frame
		want   string
		err    error  // io.EOF if nil
		code   uint16 // of the protocolError, if it is to be one
		pongs  []string
	}{
		"nothing":                 {},
		"messages":                {frames: []frame{{first: 0x82, payload: "a"}, {first: 0x82, payload: "b"}}, want: "ab"},
		"long ones":               {frames: []frame{{first: 0x82, payload: long}, {first: 0x82, payload: long[:300]}}, want: long + long[:300]},
		"empty ones":              {frames: []frame{{first: 0x82}, {first: 0x82, payload: "a"}, {first: 0x02}, {first: 0x80}}, want: "a"},
		"fragments":               {frames: []frame{{first: 0x02, payload: "a"}, {first: 0x00, payload: "b"}, {first: 0x80, payload: "c"}}, want: "abc"},
		"control in between":      {frames: []frame{{first: 0x02, payload: "a"}, {first: 0x89, payload: "hi"}, {first: 0x8A}, {first: 0x80, payload: "b"}}, want: "ab", pongs: []string{"hi"}},
		"many pings, one pong":    {frames: []frame{{first: 0x89, payload: "1"}, {first: 0x89, payload: "2"}, {first: 0x89, payload: "3"}}, pongs: []string{"3"}},
		"longest ping":            {frames: []frame{{first: 0x89, payload: long[:maxControl]}}, pongs: []string{long[:maxControl]}},
		"close":                   {frames: []frame{{first: 0x82, payload: "a"}, {first: 0x88}, {first: 0x82, payload: "b"}}, want: "a"},
		"close 1000":              {frames: []frame{{first: 0x88, payload: "\x03\xe8bye"}}},
		"going away":              {frames: []frame{{first: 0x88, payload: "\x03\xe9"}}},
		"close 1011":              {frames: []frame{{first: 0x88, payload: "\x03\xf3oh"}}, err: io.ErrUnexpectedEOF},
		"half a close code":       {frames: []frame{{first: 0x88, payload: "\x03"}}, code: 1002},
		"text":                    {frames: []frame{{first: 0x81, payload: "a"}}, code: 1003},
		"reserved bit":            {frames: []frame{{first: 0xC2, payload: "a"}}, code: 1002},
		"reserved opcode":         {frames: []frame{{first: 0x83, payload: "a"}}, code: 1002},
		"reserved control":        {frames: []frame{{first: 0x8B}}, code: 1002},
		"continuation of nothing": {frames: []frame{{first: 0x80, payload: "a"}}, code: 1002},
		"message in a message":    {frames: []frame{{first: 0x02, payload: "a"}, {first: 0x82, payload: "b"}}, want: "a", code: 1002},
		"long ping":               {frames: []frame{{first: 0x89, payload: long[:126]}}, code: 1002},
		"ping in parts":           {frames: []frame{{first: 0x09, payload: "a"}}, code: 1002},
		"negative length":         {frames: []frame{{first: 0x82, length: 1 << 63}}, code: 1002},
		"endless":                 {frames: []frame{{first: 0x82, payload: "a", length: 1<<63 - 1}}, want: "a", err: io.ErrUnexpectedEOF},
		"cut off":                 {frames: []frame{{first: 0x82, payload: "a", length: 2}}, want: "a", err: io.ErrUnexpectedEOF},
	} {
		for _, masked := range []bool{true, false} {
			for i := range tc.frames {
				tc.frames[i].masked = masked
			}
			for _, size := range []int{1, 7, 1 << 20} {
				var pongs []string
				in := inboundOf(&chunks{encode(tc.frames...), size}, masked, &pongs)
				got, err := readAll(in)
				if got != tc.want {
					t.Errorf("%s, %d at a time: %d bytes %.20q, want %d", name, size, len(got), got, len(tc.want))
				}
				var wrong *protocolError
				switch errors.As(err, &wrong); {
				case tc.code != 0 && (wrong == nil || wrong.code != tc.code):
					t.Errorf("%s: %v, want code %d", name, err, tc.code)
				case tc.code == 0 && tc.err == nil && err != io.EOF, tc.err != nil && !errors.Is(err, tc.err):
					t.Errorf("%s: %v, want %v", name, err, tc.err)
				}
				if _, again := in.read(make([]byte, 1)); (tc.code != 0 || tc.err == nil) && again != err {
					t.Errorf("%s: then %v, before %v", name, again, err)
				}
				if size > 7 && strings.Join(pongs, " ") != strings.Join(tc.pongs, " ") {
					t.Errorf("%s: pongs %q, want %q", name, pongs, tc.pongs)
				}
			}
		}
	}
}

func TestEvil_Q11_masks(t *testing.T) {
	for _, masked := range []bool{true, false} {
		var wrong *protocolError
		in := inboundOf(bytes.NewReader(encode(frame{first: 0x82, payload: "a", masked: !masked})), masked, nil)
		if got, err := readAll(in); got != "" || !errors.As(err, &wrong) || wrong.code != closeProtocol {
			t.Errorf("masked where it should be %v: %q, %v", masked, got, err)
		}
	}
}

// chunks gives out data a few bytes at a time.
type chunks struct {
	data []byte
	size int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.size)], c.data)
	c.data = c.data[n:]
	return n, nil
}

// reference is what the frames in b carry, read in the simplest way, up to the
// first that is wrong or not whole.
func reference(b []byte, masked bool) (data []byte) {
	fragmented := false
	for {
		h, size, err := parseHeader(b)
		if err != nil || size == 0 || h.check(masked, fragmented) != nil {
			return data
		}
		b = b[size:]
		payload := b[:min(h.length, uint64(len(b)))]
		b = b[len(payload):]
		whole := uint64(len(payload)) == h.length
		if h.isControl() {
			if !whole || h.opcode == opClose {
				return data
			}
			continue
		}
		if h.masked {
			payload = slowMask(payload, h.key)
		}
		if data = append(data, payload...); !whole {
			return data
		}
		fragmented = !h.fin
	}
}

func FuzzInbound(f *testing.F) {
	f.Add(encode(frame{first: 0x82, payload: "hello", masked: true}, frame{first: 0x89, payload: "ping", masked: true}), true, uint8(3))
	f.Add(encode(frame{first: 0x02, payload: strings.Repeat("x", 700)}, frame{first: 0x80, payload: "y"}, frame{first: 0x88, payload: "\x03\xe8"}), false, uint8(255))
	f.Add(encode(frame{first: 0x82, length: 1 << 62, payload: "x"}), false, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, masked bool, size uint8) {
		want := reference(b, masked)
		got, err := readAll(inboundOf(&chunks{bytes.Clone(b), int(size) + 1}, masked, nil))
		if wrong, ok := errors.AsType[*protocolError](err); ok && wrong.code == closePolicy {
			want = want[:min(len(want), len(got))] // it ends sooner
		}
		if err == nil || got != string(want) {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	})
}
