// SPDX-License-Identifier: Apache-2.0 OR MIT

package core_test

import (
	"context"
	"encoding/json"
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
