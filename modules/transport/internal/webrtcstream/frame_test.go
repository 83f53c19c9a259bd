// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcstream

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core"
)

// The bytes are those that the specification's message makes.
func TestFrameGolden(t *testing.T) {
	for _, c := range []struct {
		frame frame
		hex   string
	}{
		{frame{data: []byte("hi")}, "0412026869"},
		{frame{flag: flagFIN}, "020800"},
		{frame{flag: flagStopSending}, "020801"},
		{frame{flag: flagReset}, "020802"},
		{frame{flag: flagFINACK}, "020803"},
		{frame{flag: flagReset, code: core.StreamGated}, "05080218" + "8820"},
		{frame{flag: flagFIN, data: []byte("x")}, "05080012" + "0178"},
		{frame{}, "00"},
	} {
		if got := hex.EncodeToString(appendFrame(nil, c.frame)); got != c.hex {
			t.Errorf("%+v: %s, want %s", c.frame, got, c.hex)
		}
		b, _ := hex.DecodeString(c.hex)
		got, n, err := parseFrame(append(b, "more"...))
		if diff := cmp.Diff(c.frame, got, cmp.AllowUnexported(frame{})); err != nil || n != len(b) || diff != "" {
			t.Errorf("%s: %d bytes, %v; %s", c.hex, n, err, diff)
		}
	}
}

// A frame of data is as long as the constants say, and fits.
func TestFrameSize(t *testing.T) {
	b := appendFrame(nil, frame{data: make([]byte, frameData)})
	if len(b) > maxFrame || len(b) > frameData+dataOverhead {
		t.Errorf("%d bytes of data make a frame of %d", frameData, len(b))
	}
	body := len(b) - maxPrefix
	if packets := (body + chunk - 1) / chunk; packets != maxFrame/chunk || packets*chunk-body < chunkHeader+4 {
		t.Errorf("a frame's body of %d bytes takes %d packets of %d", body, packets, chunk)
	}
}

func TestFrameIncomplete(t *testing.T) {
	whole := appendFrame(nil, frame{data: bytes.Repeat([]byte("x"), 5000)})
	for _, n := range []int{0, 1, 2, 3, 100, len(whole) - 1} {
		if _, got, err := parseFrame(whole[:n]); got != 0 || err != nil {
			t.Errorf("%d of %d bytes: %d, %v", n, len(whole), got, err)
		}
	}
}

func TestFrameUnknown(t *testing.T) {
	body := protowire.AppendTag(nil, 9, protowire.BytesType)
	body = protowire.AppendString(body, "of a later version")
	body = append(body, flagField<<3, 77)
	f, n, err := parseFrame(append([]byte{byte(len(body))}, body...))
	if err != nil || n != len(body)+1 || f.flag != noFlag || f.data != nil {
		t.Errorf("%+v, %d, %v", f, n, err)
	}
}

func TestEvil_Q10_MalformedFrames(t *testing.T) {
	for name, b := range map[string][]byte{
		"too long":           protowire.AppendVarint(nil, maxFrame),
		"very long":          protowire.AppendVarint(nil, 1<<40),
		"endless length":     bytes.Repeat([]byte{0xff}, 20),
		"superfluous length": {0x81, 0x00, 0},
		"field cut off":      {3, dataField<<3 | 2, 5, 'x'},
		"data is a number":   {2, dataField << 3, 5},
		"flag is bytes":      {3, flagField<<3 | 2, 1, 0},
		"a group":            {2, 0x0b, 0x0c},
	} {
		if f, n, err := parseFrame(b); !errors.Is(err, errFrame) {
			t.Errorf("%s: %+v, %d, %v", name, f, n, err)
		}
	}
}

func FuzzParseFrame(f *testing.F) {
	f.Add([]byte("\x04\x12\x02hi"))
	f.Add([]byte("\x05\x08\x02\x18\x88\x20"))
	f.Add([]byte("\xff\xff\x03"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, n, err := parseFrame(b)
		if err != nil || n == 0 {
			return
		}
		if n > len(b) || n > maxFrame || len(fr.data) > n {
			t.Fatalf("%d bytes of %d, %d of data", n, len(b), len(fr.data))
		}
		again, _, err := parseFrame(appendFrame(nil, fr))
		if err != nil || again.flag != fr.flag || again.code != fr.code || !bytes.Equal(again.data, fr.data) {
			t.Fatalf("%+v becomes %+v, %v", fr, again, err)
		}
	})
}

func FuzzCheckOpen(f *testing.F) {
	f.Add(openMessage(), uint32(50))
	f.Fuzz(func(t *testing.T, b []byte, kind uint32) { _, _ = parseOpen(b, 50) })
}

func FuzzCut(f *testing.F) {
	var many []byte
	many = append(many, make([]byte, packetHeader)...)
	for range 20 {
		many = append(many, 0, 3, 0, 28, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 50)
		many = append(many, openMessage()...)
	}
	f.Add(many)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		opened, end := cut(b)
		if opened < 0 || opened > maxAhead || end > len(b) || end < min(len(b), packetHeader) {
			t.Fatalf("%d opened, cut at %d of %d", opened, end, len(b))
		}
		if rest := remainder(b, end); rest != nil && len(rest) != len(b)-end+packetHeader {
			t.Fatalf("the rest has %d bytes, of %d after %d", len(rest), len(b), end)
		}
	})
}
