// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package pionlog is where the WebRTC libraries log.
package pionlog

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// Logs sends what the ICE, DTLS and SCTP libraries have to say to the debug level:
// remotes can make them say much.
type Logs struct {
	To *slog.Logger
	// Secretive drops what the library itself takes for no more than debugging:
	// the ICE library writes passwords there.
	Secretive bool
}

// NewLogger implements [logging.LoggerFactory].
func (l Logs) NewLogger(scope string) logging.LeveledLogger {
	return scoped{to: l.To, scope: scope, secretive: l.Secretive}
}

type scoped struct {
	to    *slog.Logger
	scope string

	secretive bool
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

// Debug implements [logging.LeveledLogger].
func (s scoped) Debug(text string) {
	if !s.secretive {
		s.say(text)
	}
}

// Debugf implements [logging.LeveledLogger].
func (s scoped) Debugf(format string, args ...any) {
	if !s.secretive {
		s.sayf(format, args)
	}
}

func (s scoped) Info(text string)                  { s.say(text) }
func (s scoped) Infof(format string, args ...any)  { s.sayf(format, args) }
func (s scoped) Warn(text string)                  { s.say(text) }
func (s scoped) Warnf(format string, args ...any)  { s.sayf(format, args) }
func (s scoped) Error(text string)                 { s.say(text) }
func (s scoped) Errorf(format string, args ...any) { s.sayf(format, args) }
