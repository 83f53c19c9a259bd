// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package standard is the standard distribution: importing it puts all modules
// of this repository into a binary.
package standard

import (
	_ "github.com/xnode-p2p/xnode/modules/identity/env"
	_ "github.com/xnode-p2p/xnode/modules/identity/ephemeral"
	_ "github.com/xnode-p2p/xnode/modules/identity/file"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	_ "github.com/xnode-p2p/xnode/modules/protocol/echo"
	_ "github.com/xnode-p2p/xnode/modules/protocol/perf"
	_ "github.com/xnode-p2p/xnode/modules/protocol/ping"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
	_ "github.com/xnode-p2p/xnode/modules/transport/memory"
	_ "github.com/xnode-p2p/xnode/modules/transport/tcp"
)
