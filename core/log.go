// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
)

// Logger returns the logger of the module that is being provisioned. Unlike
// ctx.Slogger it follows the logging configuration when the module is carried
// over a reload. Use it in Provision.
func Logger(ctx caddy.Context) *slog.Logger {
	logs, ok := ctx.Value(logsKey{}).(*Logs)
	if !ok || ctx.Module() == nil {
		return ctx.Slogger()
	}
	return logs.logger(ctx.Module(), ctx.Slogger().Handler())
}

type logsKey struct{}

// Logs are the log outputs of modules that outlive their configuration. The
// host gives one to the modules it loads and points it to the new outputs
// after each reload.
type Logs struct {
	mu      sync.Mutex
	modules map[caddy.Module]*atomic.Pointer[slog.Handler]
}

// WithLogs returns a context in which [Logger] takes its output from l.
func (l *Logs) WithLogs(ctx caddy.Context) caddy.Context {
	return ctx.WithValue(logsKey{}, l)
}

func (l *Logs) logger(m caddy.Module, h slog.Handler) *slog.Logger {
	l.mu.Lock()
	defer l.mu.Unlock()
	out, ok := l.modules[m]
	if !ok {
		out = new(atomic.Pointer[slog.Handler])
		if l.modules == nil {
			l.modules = make(map[caddy.Module]*atomic.Pointer[slog.Handler])
		}
		l.modules[m] = out
	}
	out.Store(&h)
	return slog.New(&logHandler{out: out})
}

// Redirect gives every module the output that handler returns for it.
func (l *Logs) Redirect(handler func(caddy.Module) slog.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for m, out := range l.modules {
		h := handler(m)
		out.Store(&h)
	}
}

// logHandler hands records to whatever its output is at that moment.
type logHandler struct {
	out  *atomic.Pointer[slog.Handler]
	with []func(slog.Handler) slog.Handler
}

// Enabled implements [slog.Handler].
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return (*h.out.Load()).Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	out := *h.out.Load()
	for _, with := range h.with {
		out = with(out)
	}
	return out.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.and(func(out slog.Handler) slog.Handler { return out.WithAttrs(attrs) })
}

// WithGroup implements [slog.Handler].
func (h *logHandler) WithGroup(name string) slog.Handler {
	return h.and(func(out slog.Handler) slog.Handler { return out.WithGroup(name) })
}

func (h *logHandler) and(with func(slog.Handler) slog.Handler) slog.Handler {
	return &logHandler{out: h.out, with: append(h.with[:len(h.with):len(h.with)], with)}
}

var _ slog.Handler = (*logHandler)(nil)
