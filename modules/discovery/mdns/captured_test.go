// SPDX-License-Identifier: Apache-2.0 OR MIT

package mdns

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"testing"
)

// What the other stacks really send: answers that were captured, with tshark, on
// a bridge between network namespaces on which they and a node of this project
// were at the same time.
func TestReadsCapturedAnswers(t *testing.T) {
	bridge := []netip.Prefix{netip.MustParsePrefix("192.168.77.0/24")}
	for file, want := range map[string]string{
		"py-libp2p-0.8.1":    "12D3KooWDPd9LyEdfRAXpimFZpCVJF5Rmip3SUV6NvRZzcEmuMGy [/ip4/192.168.77.2/tcp/4777]",
		"go-libp2p-0.51.0":   "12D3KooWA4j3i8qg5F6pGTbsUdProzwmMHiNqNgb5VzbwG1sYTag [/ip4/192.168.77.3/tcp/4778]",
		"js-libp2p-3.3.11":   "12D3KooWJ1gAtFgCBwGU2Wj4R45BXSzYsswzXCvDBmbQmXFvqrUK [/ip4/192.168.77.4/tcp/4779]",
		"rust-libp2p-0.57.1": "12D3KooWHbEputWi1fJAxoYgmvvDe3yP7acTACqmXKGYwMgN2daQ [/ip4/192.168.77.5/tcp/4780]",
	} {
		text, err := os.ReadFile("testdata/" + file + ".hex")
		if err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(string(bytes.TrimSpace(text)))
		if err != nil {
			t.Fatal(err)
		}
		m, err := parse(b, testNames)
		if err != nil || len(m.instances) != 1 {
			t.Errorf("%s: %+v, %v", file, m, err)
			continue
		}
		p := heard(bridge, m.instances[0].texts)
		if got := fmt.Sprint(p.ID, " ", p.Addrs); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
}
