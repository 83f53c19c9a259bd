// SPDX-License-Identifier: Apache-2.0 OR MIT

package core_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

// sink collects log lines without their time, each behind the module's ID.
type sink struct {
	mu    sync.Mutex
	lines bytes.Buffer
	calls int
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines.Write(b)
}

// text returns what was logged since the last call.
func (s *sink) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.lines.Reset()
	return strings.TrimSpace(s.lines.String())
}

// output is a function for Logs.Redirect.
func (s *sink) output(level slog.Level) func(caddy.Module) slog.Handler {
	return func(m caddy.Module) slog.Handler {
		s.calls++
		h := slog.NewTextHandler(s, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})
		return h.WithAttrs([]slog.Attr{slog.String("module", m.CaddyModule().ID.Name())})
	}
}

// carried loads a simple module with a visitor, in a context with logs.
func carried(t *testing.T, logs *core.Logs) *simple {
	t.Helper()
	v, err := logs.WithLogs(loader(t)).LoadModuleByID("xnode.protocol.simple", []byte(`{"guests": [{"module": "visitor"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return v.(*simple)
}

func TestLoggerFollowsRedirect(t *testing.T) {
	logs, first, second := new(core.Logs), new(sink), new(sink)
	m := carried(t, logs)
	logs.Redirect(first.output(slog.LevelInfo))
	derived := m.Log.With("a", 1).WithGroup("g").With("b", 2)
	sibling := derived.With("c", 3)
	for _, l := range []*slog.Logger{derived.With("d", 4), sibling} {
		l.Info("hi", "e", 5)
	}
	m.Log.Debug("too low")
	m.guests[0].Module.(*visitor).Log.Info("from a guest")
	const want = `level=INFO msg=hi module=simple a=1 g.b=2 g.d=4 g.e=5
level=INFO msg=hi module=simple a=1 g.b=2 g.c=3 g.e=5
level=INFO msg="from a guest" module=visitor`
	if got := first.text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if derived.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("debug is on")
	}

	logs.Redirect(second.output(slog.LevelDebug))
	derived.Debug("now")
	m.Log.WithGroup("").Debug("plain", "x", 1)
	const after = `level=DEBUG msg=now module=simple a=1 g.b=2
level=DEBUG msg=plain module=simple x=1`
	if got := second.text(); got != after {
		t.Errorf("got\n%s\nwant\n%s", got, after)
	}
	if got := first.text(); got != "" {
		t.Errorf("the old output got %s", got)
	}
	logs.Redirect(second.output(slog.LevelError))
	if derived.Enabled(t.Context(), slog.LevelWarn) || !derived.Enabled(t.Context(), slog.LevelError) {
		t.Error("the level did not change")
	}
}

func TestLogsDoNotGrow(t *testing.T) {
	logs, s := new(core.Logs), new(sink)
	m := carried(t, logs)
	ctx := logs.WithLogs(loader(t))
	for range 10 {
		logs.Redirect(s.output(slog.LevelInfo))
	}
	if s.calls != 20 {
		t.Errorf("%d outputs asked for in 10 redirections of a module and its guest", s.calls)
	}
	if got := core.Logger(ctx); got == nil || got.Handler() == m.Log.Handler() {
		t.Error("a context without a module has the module's logger")
	}
	s.calls = 0
	logs.Redirect(s.output(slog.LevelInfo))
	if s.calls != 2 {
		t.Errorf("%d outputs, want 2", s.calls)
	}
}

func TestLoggerWithoutLogs(t *testing.T) {
	v, err := loader(t).LoadModuleByID("xnode.protocol.simple", nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.(*simple).Log == nil {
		t.Error("no logger")
	}
}

func TestLoggerIsSafeForConcurrentUse(t *testing.T) {
	logs := new(core.Logs)
	m := carried(t, logs)
	sinks := []*sink{new(sink), new(sink)}
	logs.Redirect(sinks[0].output(slog.LevelInfo))
	const writers, lines = 4, 200
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			log := m.Log.With("writer", i)
			for n := range lines {
				log.InfoContext(context.Background(), "line", "n", n)
			}
		})
	}
	for i := range 50 {
		logs.Redirect(sinks[i%2].output(slog.LevelInfo))
	}
	wg.Wait()
	got := strings.Count(sinks[0].text()+"\n"+sinks[1].text(), "msg=line")
	if got != writers*lines {
		t.Errorf("%d lines, want %d", got, writers*lines)
	}
}
