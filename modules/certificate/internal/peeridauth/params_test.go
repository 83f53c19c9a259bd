// SPDX-License-Identifier: Apache-2.0 OR MIT

package peeridauth

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		header string
		want   params
	}{
		{``, nil},
		{`Basic realm="libp2p-PeerID x=1"`, nil},
		{`libp2p-PeerID`, params{}},
		{`LIBP2P-peerid a="1", b="2"`, params{"a": "1", "b": "2"}},
		{`libp2p-PeerID a="1" b="2"`, params{"a": "1", "b": "2"}},
		{`libp2p-PeerID a=1,b=2==`, params{"a": "1", "b": "2=="}},
		{`Basic realm="x", libp2p-PeerID a="1, \"2\"", Digest a="3"`, params{"a": `1, "2"`}},
		{`Negotiate YWJj==, libp2p-PeerID a="1"`, params{"a": "1"}},
	} {
		got, err := parse(tc.header)
		if err != nil {
			t.Errorf("%s: %v", tc.header, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.header, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", `libp2p-PeerID a="1", b="2"`, `libp2p-PeerID a="\`, `x=, libp2p-PeerID ="`, `Basic a="b" libp2p-PeerID c=d`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		p, err := parse(header)
		if err != nil && !errors.Is(err, errMalformed) {
			t.Errorf("%q: %v", header, err)
		}
		size := 0
		for name, value := range p {
			size += len(name) + len(value)
		}
		if size > len(header) {
			t.Errorf("%q: %d bytes of parameters", header, size)
		}
	})
}

func FuzzHear(f *testing.F) {
	f.Add(`libp2p-PeerID challenge-client="`+vectorChallengeClient+`", public-key="`+vectorServerKey+`", sig="`+vectorServerSig+`"`, vectorServerKey)
	f.Fuzz(func(t *testing.T, header, key string) {
		if p, err := parse(header); err == nil {
			h := &handshake{host: vectorHost, mine: vectorChallengeServer}
			if err := h.hear(p, []byte(key)); err == nil && h.server == nil {
				t.Error("there is no key")
			}
		}
	})
}
