// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// logs sends what the DTLS and SCTP libraries have to say to the debug level:
// remotes can make them say much.
type logs struct{ to *slog.Logger }

// NewLogger implements [logging.LoggerFactory].
func (l logs) NewLogger(scope string) logging.LeveledLogger {
	return scoped{to: l.to, scope: scope}
}

type scoped struct {
	to    *slog.Logger
	scope string
}

func (s scoped) say(text string) {
	if s.to.Enabled(context.Background(), slog.LevelDebug) {
		s.to.Debug(text, "library", s.scope)
	}
}

func (s scoped) sayf(format string, args []any) {
	if s.to.Enabled(context.Background(), slog.LevelDebug) {
		s.to.Debug(fmt.Sprintf(format, args...), "library", s.scope)
	}
}

// Trace and Tracef implement [logging.LeveledLogger], and drop what they get: it
// is about every packet.
func (scoped) Trace(string)          {}
func (scoped) Tracef(string, ...any) {}

func (s scoped) Debug(text string)                 { s.say(text) }
func (s scoped) Debugf(format string, args ...any) { s.sayf(format, args) }
func (s scoped) Info(text string)                  { s.say(text) }
func (s scoped) Infof(format string, args ...any)  { s.sayf(format, args) }
func (s scoped) Warn(text string)                  { s.say(text) }
func (s scoped) Warnf(format string, args ...any)  { s.sayf(format, args) }
func (s scoped) Error(text string)                 { s.say(text) }
func (s scoped) Errorf(format string, args ...any) { s.sayf(format, args) }
