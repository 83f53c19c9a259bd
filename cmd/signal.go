// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/caddyserver/caddy/v2"
)

// trapSignals has Caddy stop the process when it is told to, and ends it at the
// second time, whichever signals tell so.
func trapSignals() {
	caddy.TrapSignals()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	var forever sync.WaitGroup // not waited for: it lives as long as the process
	forever.Go(func() {
		<-signals
		<-signals
		os.Exit(caddy.ExitCodeForceQuit)
	})
}
