// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/xnode-p2p/xnode/core/wire"
)

// Golden bytes: as protobuf has them, with the field that is 0.
func TestMessageGolden(t *testing.T) {
	for _, c := range []struct {
		message message
		want    string
	}{
		{message{sdpOffer, "v=0"}, "070800" + "1203763d30"},
		{message{sdpAnswer, ""}, "040801" + "1200"},
		{message{iceCandidate, "null"}, "080802" + "12046e756c6c"},
	} {
		var b bytes.Buffer
		if err := writeMessage(&b, c.message); err != nil || hex.EncodeToString(b.Bytes()) != c.want {
			t.Errorf("%+v: %x, %v, want %s", c.message, b.Bytes(), err, c.want)
		}
		if got, err := readMessage(&b); err != nil || got != c.message {
			t.Errorf("%+v, %v, want %+v", got, err, c.message)
		}
	}
	// Both fields are optional; proto3 leaves out what is 0.
	if got, err := parseMessage([]byte{0x12, 1, 'x'}); err != nil || got != (message{sdpOffer, "x"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestEvil_B2_SignallingMessage(t *testing.T) {
	long := wire.AppendUvarint(nil, maxMessage+1)
	if _, err := readMessage(bytes.NewReader(append(long, make([]byte, maxMessage+1)...))); err == nil {
		t.Error("read a message that is too long")
	}
	for _, b := range [][]byte{{0x08}, {0x12, 5, 'x'}, {0x12, 0xff, 0xff, 0xff, 0xff, 0x0f}, {0x0a, 0}, {0x10, 0}} {
		if m, err := parseMessage(b); !errors.Is(err, errMessage) {
			t.Errorf("%x: %+v, %v", b, m, err)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(message{iceCandidate, "null"}.marshal())
	f.Add([]byte{0x08, 1, 0x1a, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMessage(b)
		if err != nil {
			return
		}
		if again, err := parseMessage(m.marshal()); err != nil || again != m {
			t.Fatalf("%+v becomes %+v, %v", m, again, err)
		}
	})
}
