// SPDX-License-Identifier: Apache-2.0 OR MIT

package standard_test

import (
	"go/version"
	"strings"
	"testing"
)

// floors are the first versions without known holes of what this repository
// builds its transports on.
var floors = map[string]string{
	"go":                                 "1.25.6", // CVE-2025-61730: messages at the wrong level of encryption
	"github.com/quic-go/quic-go":         "0.59.1", // CVE-2026-40898, and floods and panics before it
	"github.com/quic-go/webtransport-go": "0.11.1", // CVE-2026-57497, and capsules and closing before it
	"github.com/pion/dtls/v3":            "3.1.4",  // CVE-2026-54908, and reused nonces before it
}

// What is known of others' holes is not built in.
func TestEvil_A8_Q5_Floors(t *testing.T) {
	found := 0
	for l := range strings.Lines(run(t, "list", "-m", "-f", "{{.Path}} {{.Version}} {{.GoVersion}}", "all")) {
		fields := strings.Fields(l) // this module has no version, and that of Go comes next
		path, v := fields[0], strings.TrimPrefix(fields[1], "v")
		if path+"/" == module {
			path = "go"
		}
		floor, ok := floors[path]
		if !ok {
			continue
		}
		found++
		// Versions of modules are compared as those of Go are.
		if version.Compare("go"+v, "go"+floor) < 0 {
			t.Errorf("%s %s, want %s at least", path, v, floor)
		}
	}
	if found != len(floors) {
		t.Errorf("%d of %d are found", found, len(floors))
	}
}
