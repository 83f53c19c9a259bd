// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

// modules holds the loaded modules by what they are: a reload that does not
// change a module's configuration finds the one that is running.
var modules = caddy.NewUsagePool()

// moduleKey is what makes two modules the same: the identity they run for, the
// module's ID and its configuration.
type moduleKey struct {
	identity [sha256.Size]byte
	id       string
	config   [sha256.Size]byte
}

// carried is a loaded module. It lives in a context of its own, so that it may
// outlive the configuration that loaded it.
type carried struct {
	value any
	logs  *core.Logs
	end   context.CancelFunc
}

// Destruct implements [caddy.Destructor]. It cleans up the module and its
// guests.
func (c *carried) Destruct() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cleanup: panic: %v", r)
		}
	}()
	c.end()
	return nil
}

// loader loads the modules of one configuration.
type loader struct {
	ctx      caddy.Context
	identity [sha256.Size]byte
	held     map[moduleKey]*carried
}

// newLoader returns a loader for a configuration whose identity is described
// by the given JSON.
func newLoader(ctx caddy.Context, identity string) *loader {
	return &loader{ctx: ctx, identity: digest(json.RawMessage(identity)), held: make(map[moduleKey]*carried)}
}

// LoadModuleByID implements [core.Loader].
func (l *loader) LoadModuleByID(id string, config json.RawMessage) (any, error) {
	key := moduleKey{l.identity, id, digest(config)}
	v, _, err := modules.LoadOrNew(key, func() (caddy.Destructor, error) {
		return l.load(id, config)
	})
	if err != nil {
		return nil, err
	}
	c := v.(*carried)
	if _, twice := l.held[key]; twice {
		modules.Delete(key)
		return nil, errors.New("listed twice with the same configuration; remove one")
	}
	l.held[key] = c
	return c.value, nil
}

func (l *loader) load(id string, config json.RawMessage) (*carried, error) {
	detached := l.ctx
	detached.Context = context.WithoutCancel(l.ctx.Context)
	own, cancel := caddy.NewContext(detached)
	c := &carried{logs: new(core.Logs), end: cancel}
	// One that hangs is given up. Caddy's context is not for two at a time: of
	// who loads and who waits, the second to be done cleans up what failed.
	var done atomic.Bool
	var value any
	err := contain(context.Background(), provisionTimeout, func(context.Context) error {
		defer func() {
			if done.Swap(true) {
				_ = c.Destruct() // nobody is there to be told
			}
		}()
		v, err := c.logs.WithLogs(own).LoadModuleByID(id, config)
		value = v
		return err
	})
	if err != nil {
		if done.Swap(true) {
			err = errors.Join(err, c.Destruct())
		}
		return nil, err
	}
	c.value = value
	return c, nil
}

// release gives the modules back.
func (l *loader) release() error {
	var errs []error
	for key := range l.held {
		if _, err := modules.Delete(key); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key.id, err))
		}
	}
	clear(l.held)
	return errors.Join(errs...)
}

// digest is the hash of a configuration in canonical form: equal documents
// have equal digests, whatever their spacing and the order of their keys.
func digest(config json.RawMessage) [sha256.Size]byte {
	d := json.NewDecoder(bytes.NewReader(config))
	d.UseNumber()
	var v any
	if d.Decode(&v) == nil {
		if canonical, err := json.Marshal(v); err == nil {
			return sha256.Sum256(canonical)
		}
	}
	return sha256.Sum256(config)
}
