// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/xnode-p2p/xnode/core"
)

// Start implements [core.Service].
func (k *Kad) Start(_ context.Context, n core.Node) error {
	storage, ok := core.Find[core.Storage](n)
	if !ok {
		return errors.New(`no storage module runs, and the DHT keeps records in one: add "storage": {"module": "bbolt"} to the node`)
	}
	s := scopeInternet
	if k.private() {
		s = scopePrivate
	}
	wide, err := newDHT(k, n, storage, k.Protocol, s)
	if err != nil {
		return err
	}
	dhts := []*dht{wide}
	if k.Lan != lanOff {
		local, err := newDHT(k, n, storage, strings.TrimSuffix(k.Protocol, suffix)+lanInfix+suffix, scopeLan)
		if err != nil {
			return errors.Join(err, wide.close())
		}
		dhts = append(dhts, local)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dhts = dhts
	wide.spawn(func() { k.republish(wide) })
	return nil
}

// Close implements [core.Service].
func (k *Kad) Close() error {
	k.mu.Lock()
	dhts := k.dhts
	k.dhts = nil
	k.mu.Unlock()
	var errs []error
	for _, d := range dhts {
		errs = append(errs, d.close())
	}
	return errors.Join(errs...)
}

// running returns the DHTs, the one of the configuration first. It fails if the
// module does not run.
func (k *Kad) running() ([]*dht, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dhts == nil {
		return nil, fmt.Errorf("kad: %w", net.ErrClosed)
	}
	return k.dhts, nil
}
