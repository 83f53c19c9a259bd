// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

// stuck is a module that hangs or panics at a stage of its life.
type stuck struct {
	At    string `json:"at"`
	Panic bool   `json:"panic"`
}

func init() { core.Register(new(stuck)) }

func (*stuck) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.stuck", New: func() caddy.Module { return new(stuck) }}
}

func (s *stuck) do(stage string) error {
	switch {
	case s.At != stage:
	case s.Panic:
		panic("stuck at " + stage)
	default:
		time.Sleep(time.Hour) // longer than anybody waits
	}
	return nil
}

func (s *stuck) Provision(caddy.Context) error          { return s.do("provision") }
func (s *stuck) Validate() error                        { return s.do("validate") }
func (s *stuck) Start(context.Context, core.Node) error { return s.do("start") }
func (s *stuck) Close() error                           { return s.do("close") }
func (s *stuck) Cleanup() error                         { return s.do("cleanup") }

// A module that hangs or panics at whatever step of its life holds nobody up for
// longer than its time, and takes nothing with it.
func TestEvil_X10_ModulesAtEachStep(t *testing.T) {
	for _, tc := range []struct {
		config  string
		loads   string // what loading says; empty if it works
		starts  string
		closes  string
		atLeast time.Duration
	}{
		{`{"at": "provision"}`, "not done within 30s", "", "", 30 * time.Second},
		{`{"at": "provision", "panic": true}`, "panic: stuck at provision", "", "", 0},
		{`{"at": "validate"}`, "not done within 30s", "", "", 30 * time.Second},
		{`{"at": "validate", "panic": true}`, "panic: stuck at validate", "", "", 0},
		{`{"at": "start"}`, "", "protocols/stuck: start: not done within 30s", "", 30 * time.Second},
		{`{"at": "start", "panic": true}`, "", "panic: stuck at start", "", 0},
		{`{"at": "close"}`, "", "", "protocols/stuck: close: not done within 10s", 10 * time.Second},
		{`{"at": "close", "panic": true}`, "", "", "panic: stuck at close", 0},
		{`{"at": "cleanup", "panic": true}`, "", "", "", 0},
	} {
		t.Run(tc.config, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
				defer cancel()
				l := newLoader(ctx, "{}")
				defer time.Sleep(2 * time.Hour) // until what hung has ended
				v, err := l.LoadModuleByID("xnode.protocol.stuck", json.RawMessage(tc.config))
				if !says(err, tc.loads) {
					t.Fatalf("load: %v, want %q", err, tc.loads)
				}
				if err == nil {
					m := module{"protocols/stuck", v}
					if err := startModule(t.Context(), m, nil); !says(err, tc.starts) {
						t.Errorf("start: %v, want %q", err, tc.starts)
					}
					if err := closeModule(m); !says(err, tc.closes) {
						t.Errorf("close: %v, want %q", err, tc.closes)
					}
					err := l.release()
					if strings.Contains(tc.config, "cleanup") != (err != nil) {
						t.Errorf("release: %v", err)
					}
				}
				if took := time.Since(begin); took < tc.atLeast || took > tc.atLeast+time.Second {
					t.Errorf("it took %v, want %v", took, tc.atLeast)
				}
			})
		})
	}
}

func says(err error, text string) bool {
	if text == "" {
		return err == nil
	}
	return err != nil && strings.Contains(err.Error(), text)
}
