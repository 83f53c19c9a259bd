// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Duration is a length of time in a configuration, written as a string such
// as "300ms", "2m" or "1d".
type Duration time.Duration

// UnmarshalJSON implements [json.Unmarshaler].
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf(`%.40s is no duration; write a string with a unit, such as "30s" or "2m"`, b)
	}
	v, err := caddy.ParseDuration(s)
	if err != nil || v < 0 {
		return fmt.Errorf(`%.40q is no duration; write a number with a unit, such as "30s" or "2m"`, s)
	}
	*d = Duration(v)
	return nil
}

// MarshalJSON implements [json.Marshaler].
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// String implements [fmt.Stringer].
func (d Duration) String() string { return time.Duration(d).String() }

// Size is a number of bytes in a configuration, written as a string such as
// "64KiB", "256MiB" or "1GB".
type Size int64

// The units of a size, longest suffix first.
var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// UnmarshalJSON implements [json.Unmarshaler].
func (s *Size) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf(`%.40s is no size; write a string with a unit, such as "64KiB" or "256MiB"`, b)
	}
	v, err := parseSize(text)
	if err != nil {
		return err
	}
	*s = v
	return nil
}

func parseSize(text string) (Size, error) {
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		number = strings.TrimSpace(number)
		if strings.Trim(number, "0123456789.") != "" {
			break
		}
		if v, err := strconv.ParseInt(number, 10, 64); err == nil && v <= math.MaxInt64/u.bytes {
			return Size(v * u.bytes), nil
		}
		v, err := strconv.ParseFloat(number, 64)
		if err != nil || v*float64(u.bytes) >= 1<<62 {
			break
		}
		return Size(v * float64(u.bytes)), nil
	}
	return 0, fmt.Errorf(`%.40q is no size; write a number with a unit, such as "64KiB" or "256MiB"`, text)
}

// MarshalJSON implements [json.Marshaler].
func (s Size) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// String implements [fmt.Stringer].
func (s Size) String() string {
	for _, u := range []string{"TiB", "GiB", "MiB", "KiB"} {
		for _, unit := range sizeUnits {
			if unit.suffix == u && s >= Size(unit.bytes) && int64(s)%unit.bytes == 0 {
				return strconv.FormatInt(int64(s)/unit.bytes, 10) + u
			}
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}
