// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"context"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/xnode-p2p/xnode/cmd/internal/admin"
)

// watchInterval is how often a watched file is looked at.
const watchInterval = time.Second

// stamp is what changes when a file is written.
type stamp struct {
	modified time.Time
	size     int64
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.ModTime(), info.Size()}, nil
}

// watch loads a file whenever its stamp is another than the last one, until ctx
// ends. A document that is refused changes nothing; the log says why.
func watch(ctx context.Context, path string, last stamp, interval time.Duration) {
	log := caddy.Log().Named("watch").With(zap.String("file", path))
	log.Info("watching")
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
		now, err := stampOf(path)
		if err != nil || now == last {
			continue
		}
		last = now
		text, err := admin.ReadDocument(path)
		if err == nil {
			err = admin.Load(text, path, false)
		}
		if err == nil {
			log.Info("reloaded")
			continue
		}
		if several, ok := mistaken(path, err).(mistakes); ok {
			for _, line := range several.lines() {
				log.Error("not reloaded; the configuration from before goes on", zap.String("mistake", line))
			}
		}
	}
}
