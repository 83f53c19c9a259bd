// SPDX-License-Identifier: Apache-2.0 OR MIT

package identify

import (
	"context"
	"fmt"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/peerstore"
)

// serve tells a peer who we are, in one write.
func (s *Service) serve(stream core.Stream) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	defer guard(ctx, stream)()
	c := stream.Conn()
	snap := s.self.snapshot(placeOf(c))
	if st := s.state(c); st != nil {
		st.sent.Store(snap.serial)
	}
	if _, err := stream.Write(snap.encode(peerstore.Normalize(c.RemoteMultiaddr()))); err != nil {
		return fmt.Errorf("identify: %w", err)
	}
	return nil
}

// servePush takes what a peer says of its own accord.
func (s *Service) servePush(stream core.Stream) error {
	c := stream.Conn()
	release, ok := s.pushes.take(c)
	if !ok {
		return &core.StreamError{Code: core.StreamRateLimited}
	}
	defer release()
	st := s.state(c)
	if st == nil {
		return core.ErrConnClosed
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	defer guard(ctx, stream)()
	m, err := readMessage(stream)
	if err != nil {
		return fmt.Errorf("identify push: %w", err)
	}
	if err := checkKey(c, m.publicKey); err != nil {
		return fmt.Errorf("identify push: %w", err)
	}
	changes, err := s.store(st, m, true)
	if err != nil {
		return fmt.Errorf("identify push: %w", err)
	}
	for _, e := range changes {
		s.Node.Emit(e)
	}
	return nil
}
