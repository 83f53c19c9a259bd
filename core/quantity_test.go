// SPDX-License-Identifier: Apache-2.0 OR MIT

package core_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

func TestDuration(t *testing.T) {
	for _, tc := range []struct {
		text string
		want time.Duration
		back string
	}{
		{`"0"`, 0, `"0s"`},
		{`"0s"`, 0, `"0s"`},
		{`"300ms"`, 300 * time.Millisecond, `"300ms"`},
		{`"2m"`, 2 * time.Minute, `"2m0s"`},
		{`"1.5h"`, 90 * time.Minute, `"1h30m0s"`},
		{`"1d"`, 24 * time.Hour, `"24h0m0s"`},
		{`"0.5d12h"`, 24 * time.Hour, `"24h0m0s"`},
		{`"7d1m1ns"`, 7*24*time.Hour + time.Minute + 1, `"168h1m0.000000001s"`},
		{`"106751d"`, 106751 * 24 * time.Hour, `"2562024h0m0s"`},
		{`"1us"`, time.Microsecond, `"1µs"`},
	} {
		var d core.Duration
		if err := json.Unmarshal([]byte(tc.text), &d); err != nil || time.Duration(d) != tc.want {
			t.Errorf("%s: got %v, %v, want %v", tc.text, d, err, tc.want)
		}
		if back, err := json.Marshal(d); err != nil || string(back) != tc.back {
			t.Errorf("%s: writes as %s, %v, want %s", tc.text, back, err, tc.back)
		}
	}
	for _, text := range []string{
		`""`, `"5"`, `"s"`, `"d"`, `"-1s"`, `"-1d"`, `"1d-25h"`, `"1 s"`, `"1w"`, `"106752d"`, `"9223372037s"`, `"infd"`, `"nand"`, `"1e3s"`,
		`"` + strings.Repeat("9", 2000) + `d"`, `5`, `5.5`, `-1`, `null`, `true`, `{}`, `["1s"]`,
	} {
		d := core.Duration(77)
		err := json.Unmarshal([]byte(text), &d)
		if err == nil || d != 77 {
			t.Errorf("%.40s: got %v, %v", text, d, err)
			continue
		}
		if want := "is no duration; write a "; !strings.Contains(err.Error(), want) || len(err.Error()) > 150 {
			t.Errorf("%.40s: %v, want %q", text, err, want)
		}
	}
}

func TestSize(t *testing.T) {
	for _, tc := range []struct {
		text string
		want int64
		back string
	}{
		{`"0B"`, 0, `"0B"`},
		{`"1B"`, 1, `"1B"`},
		{`"1023B"`, 1023, `"1023B"`},
		{`"1024B"`, 1024, `"1KiB"`},
		{`"64KiB"`, 64 << 10, `"64KiB"`},
		{`"256 MiB"`, 256 << 20, `"256MiB"`},
		{`"1.5GiB"`, 3 << 29, `"1536MiB"`},
		{`".5KiB"`, 512, `"512B"`},
		{`"1GB"`, 1e9, `"1000000000B"`},
		{`"1kB"`, 1000, `"1000B"`},
		{`"1KB"`, 1000, `"1000B"`},
		{`"3TiB"`, 3 << 40, `"3TiB"`},
		{`"2TB"`, 2e12, `"1953125000KiB"`},
		{`"9007199254740993B"`, 1<<53 + 1, `"9007199254740993B"`},
		{`"9223372036854775807B"`, math.MaxInt64, `"9223372036854775807B"`},
		{`"8388607TiB"`, 8388607 << 40, `"8388607TiB"`},
	} {
		var s core.Size
		if err := json.Unmarshal([]byte(tc.text), &s); err != nil || int64(s) != tc.want {
			t.Errorf("%s: got %d, %v, want %d", tc.text, s, err, tc.want)
		}
		if back, err := json.Marshal(s); err != nil || string(back) != tc.back {
			t.Errorf("%s: writes as %s, %v, want %s", tc.text, back, err, tc.back)
		}
	}
	for _, text := range []string{
		`""`, `"B"`, `"MiB"`, `"5"`, `"-1B"`, `"-0B"`, `"+1B"`, `"1kib"`, `"1K"`, `"1 PiB"`, `"9223372036854775808B"`, `"8388608TiB"`,
		`"99999999999999999999TiB"`, `"infB"`, `"nanB"`, `"NaNGiB"`, `"1e3MB"`, `"0x10B"`, `"1_000B"`, `"1.2.3MB"`, `"1 2MB"`, `" B"`, `"1B "`,
		`"` + strings.Repeat("9", 5000) + `B"`, `5`, `1048576`, `-1`, `null`, `true`, `{}`, `["1B"]`,
	} {
		s := core.Size(77)
		err := json.Unmarshal([]byte(text), &s)
		if err == nil || s != 77 {
			t.Errorf("%.40s: got %v, %v", text, s, err)
			continue
		}
		if want := "is no size; write a "; !strings.Contains(err.Error(), want) || len(err.Error()) > 150 {
			t.Errorf("%.40s: %v, want %q", text, err, want)
		}
	}
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"1d", "2m", "-1h", "1d1d", "0.0000001d", "9d9d9d", "d", ".d", "+d", "1e9d", "106751d23h47m16.854775807s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var d, again core.Duration
		if json.Unmarshal(b, &d) != nil {
			return
		}
		back, err := json.Marshal(d)
		if err != nil || d < 0 {
			t.Fatalf("%q: %v, %v", text, d, err)
		}
		if err := json.Unmarshal(back, &again); err != nil || again != d {
			t.Errorf("%q: %v comes back as %v, %v", text, d, again, err)
		}
	})
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"1B", "1.5GiB", "nanB", "infTiB", "9007199254740993B", "0x1p4B", "0.1KiB", "4194304TiB"} {
		f.Add(s, int64(0))
	}
	f.Add("", int64(1<<53+1))
	f.Add("", int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, text string, n int64) {
		b, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		s := core.Size(n & math.MaxInt64)
		if json.Unmarshal(b, &s) == nil && s < 0 {
			t.Fatalf("%q: %d", text, s)
		}
		back, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var again core.Size
		if err := json.Unmarshal(back, &again); err != nil || again != s {
			t.Errorf("%d comes back from %s as %d, %v", s, back, again, err)
		}
	})
}
