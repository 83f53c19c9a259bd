// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"errors"
	"testing"
)

func TestQuotaCheck(t *testing.T) {
	key, value := make([]byte, MaxStorageKey), make([]byte, MaxStorageValue)
	for name, c := range map[string]struct {
		quota  Quota
		change Change
		ok     bool
		want   error
	}{
		"largest":        {Quota{}, Change{Key: key, Value: value}, true, nil},
		"delete":         {Quota{Bytes: 1}, Change{Key: key}, true, nil},
		"no key":         {Quota{}, Change{Value: value}, false, nil},
		"long key":       {Quota{}, Change{Key: append(key, 0)}, false, ErrTooLarge},
		"long value":     {Quota{}, Change{Key: key, Value: append(value, 0)}, false, ErrTooLarge},
		"just fits":      {Quota{Bytes: 1034}, Change{Key: key, Value: value[:10]}, true, nil},
		"beyond a quota": {Quota{Bytes: 1033}, Change{Key: key, Value: value[:10]}, false, ErrTooLarge},
	} {
		err := c.quota.Check(c.change)
		if (err == nil) != c.ok || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestQuotaExceeded(t *testing.T) {
	for _, c := range []struct {
		quota Quota
		stat  TableStat
		want  bool
	}{
		{Quota{}, TableStat{Entries: 1 << 40, Bytes: 1 << 50}, false},
		{Quota{Entries: 3}, TableStat{Entries: 3, Bytes: 1 << 50}, false},
		{Quota{Entries: 3}, TableStat{Entries: 4}, true},
		{Quota{Bytes: 30}, TableStat{Entries: 4, Bytes: 30}, false},
		{Quota{Bytes: 30}, TableStat{Entries: 4, Bytes: 31}, true},
	} {
		if c.quota.Exceeded(c.stat) != c.want {
			t.Errorf("%+v, %+v: want %v", c.quota, c.stat, c.want)
		}
	}
}
