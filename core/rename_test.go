// SPDX-License-Identifier: Apache-2.0 OR MIT

package core_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

// older is a module whose keys have changed.
type older struct {
	simple
	Interval string `json:"interval,omitempty" xnode:"was=every"`
	Loud     bool   `json:"loud,omitempty" xnode:"deprecated=it is always quiet, remove it"`
	Plain    int    `json:"plain,omitempty"`
	Inner    inner  `json:"inner,omitzero"`
	// A list and a map of such, and one within itself.
	List []inner           `json:"list,omitempty"`
	Map  map[string]*inner `json:"map,omitempty"`
}

type inner struct {
	Level int    `json:"level,omitempty" xnode:"was=depth"`
	Inner *inner `json:"inner,omitempty"`
}

func (*older) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.older", New: func() caddy.Module { return new(older) }}
}

func init() { core.Register(new(older), core.Beta) }

func TestKeysThatAreCalledOtherwiseNow(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	for _, tc := range []struct{ config, interval, wantErr string }{
		{`{"interval": "1s"}`, "1s", ""},
		{`{"every": "1s", "plain": 1}`, "1s", ""},
		{`{"every": "1s", "interval": "2s"}`, "", "older: every: it is called interval now, which is there too; remove one"},
		{`{"loud": true}`, "", ""},
		{`{"evry": "1s"}`, "", `unknown field "evry"`},
		{`{"every": 1}`, "", "cannot unmarshal number"},
	} {
		loaded, err := core.Map[core.Protocol]{"older": json.RawMessage(tc.config)}.Load(ctx)
		if tc.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("%s: %v, want %q", tc.config, err, tc.wantErr)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.config, err)
		} else if got := loaded[0].Module.(*older).Interval; got != tc.interval {
			t.Errorf("%s: the interval is %q", tc.config, got)
		}
	}
}

// Within objects, lists and maps it is the same, and what is said names the place.
func TestKeysWithinThatAreCalledOtherwiseNow(t *testing.T) {
	var o older
	notes, err := core.UnmarshalCurrent([]byte(`{"loud": true, "every": "1s", "inner": {"depth": 1, "inner": {"depth": 2}},
		"list": [{"level": 3}, {"depth": 4}], "map": {"a/b": {"depth": 5}, "c": null}}`), &o)
	if err != nil {
		t.Fatal(err)
	}
	if o.Interval != "1s" || o.Inner.Level != 1 || o.Inner.Inner.Level != 2 || o.List[0].Level != 3 || o.List[1].Level != 4 || o.Map["a/b"].Level != 5 || o.Map["c"] != nil {
		t.Errorf("%+v", o)
	}
	want := []string{
		"every is called interval now", "inner/depth is called level now", "inner/inner/depth is called level now",
		"list/1/depth is called level now", "loud is deprecated: it is always quiet, remove it", "map/a/b/depth is called level now",
	}
	if !slices.Equal(notes, want) {
		t.Errorf("%q, want %q", notes, want)
	}
	for _, tc := range []struct{ config, want string }{
		{`{"list": [{}, {"depth": 1, "level": 2}]}`, "list/1/depth: it is called level now, which is there too; remove one"},
		{`{"inner": {"deep": 1}}`, `unknown field "deep"`},
		{`{"inner": [1]}`, "cannot unmarshal array"},
		{`{"list": {"depth": 1}}`, "cannot unmarshal object"},
		{`[]`, "cannot unmarshal array"},
		{`{`, "unexpected EOF"},
	} {
		if _, err := core.UnmarshalCurrent([]byte(tc.config), new(older)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.config, err, tc.want)
		}
	}
}

func TestStability(t *testing.T) {
	for id, want := range map[string]core.Stability{
		"xnode.protocol.older": core.Beta, "xnode.protocol.simple": core.Development, "xnode.protocol.nosuch": "",
	} {
		if got := core.StabilityOf(id); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	for s, want := range map[core.Stability]bool{core.Development: true, core.Alpha: true, core.Beta: false, core.Stable: false, core.Deprecated: true, core.Unmaintained: true, "": false} {
		if s.Warns() != want {
			t.Errorf("%q: %v", s, s.Warns())
		}
	}
	got := panicOf(func() {
		core.Register(&odd{"xnode.protocol.odd", func() caddy.Module { return new(simple) }}, "perfect")
	})
	if !strings.Contains(got, "perfect") {
		t.Errorf("%q", got)
	}
}
