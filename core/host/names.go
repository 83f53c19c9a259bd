// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"context"
	"fmt"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/resolve"
)

// names plays the role [core.Names].
type names struct{ resolver *resolve.Resolver }

// Resolve implements [core.Names].
func (n names) Resolve(ctx context.Context, a ma.Multiaddr) ([]ma.Multiaddr, error) {
	why := resolve.ErrNothing
	found := n.resolver.Resolve(ctx, []ma.Multiaddr{a}, "", func(r core.DialResolution) {
		if r.Err != nil {
			why = r.Err
		}
	})
	if len(found) == 0 {
		return nil, fmt.Errorf("resolve %s: %w", a, why)
	}
	return found, nil
}
