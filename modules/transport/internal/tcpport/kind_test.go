// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"strings"
	"testing"
)

func TestClassify(t *testing.T) {
	for head, want := range map[string]Kind{
		"\x13/multi":                Multistream,
		"\x00\x00\x00\x00":          Multistream,
		"\x16\x03\x01\x02\x00\x01":  TLS,
		"\x16\x03\x03":              TLS,
		"\x16\x03\x05":              Multistream,
		"\x16\x02\x01":              Multistream,
		"\x15\x03\x01":              Multistream, // an alert
		"\x80\x2e\x01\x03\x01":      Multistream, // a hello of SSL 2
		"GET / HTTP/1.1":            HTTP,
		"HEAD /":                    HTTP,
		"POST /":                    HTTP,
		"PUT /x":                    HTTP,
		"PATCH /":                   HTTP,
		"DELETE /":                  HTTP,
		"OPTIONS *":                 HTTP,
		"TRACE /":                   HTTP,
		"CONNECT a:1":               HTTP,
		"PRI * HTTP/2.0\r\n":        HTTP,
		"get / HTTP/1.1":            Multistream,
		"GETX":                      Multistream,
		"GE\x00":                    Multistream,
		"PROXY TCP4":                Multistream,
		"SSH-2.0-x":                 Multistream,
		"\r\n\r\n\x00\r\nQUIT\n":    Multistream,
		strings.Repeat("\xff", 100): Multistream,
	} {
		if kind, decided := classify([]byte(head)); kind != want || !decided {
			t.Errorf("%q: %v (decided: %v), want %v", head, kind, decided, want)
		}
	}
}

// What is not decided must be what the beginning could still become, and nothing else.
func TestUndecided(t *testing.T) {
	for _, head := range []string{"", "\x16", "\x16\x03", "G", "GE", "GET", "P", "PR", "CONNECT", "OPTIONS", "D", "H", "T"} {
		if kind, decided := classify([]byte(head)); decided {
			t.Errorf("%q is %v already", head, kind)
		}
	}
	for head, want := range map[string]Kind{"\x13": Multistream, "Z": Multistream, "\x17": Multistream, "\x16\x04": Multistream, "GX": Multistream} {
		if kind, decided := classify([]byte(head)); !decided || kind != want {
			t.Errorf("%q: %v (decided: %v), want %v at once", head, kind, decided, want)
		}
	}
}

func TestKindNames(t *testing.T) {
	for kind, want := range map[Kind]string{Multistream: "multistream", TLS: "TLS", HTTP: "HTTP", kinds: "unknown"} {
		if got := kind.String(); got != want {
			t.Errorf("%d is %q, want %q", kind, got, want)
		}
	}
}

// FuzzClassify reads a beginning in pieces: what is decided stays, and enough
// bytes decide.
func FuzzClassify(f *testing.F) {
	for _, seed := range []string{"", "\x13/multistream/1.0.0\n", "\x16\x03\x01\x02\x00", "GET /", "CONNECT a", "PRI * ", "OPTIONSX"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, decided := classify(b)
		if !decided && len(b) >= maxHead {
			t.Fatalf("%q is not decided", b)
		}
		for n := range b {
			kind, early := classify(b[:n])
			if early && (!decided || kind != whole) {
				t.Fatalf("%q is %v, %q is %v (decided: %v)", b[:n], kind, b, whole, decided)
			}
		}
	})
}
