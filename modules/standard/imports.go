// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package standard is the standard distribution: importing it puts all modules
// of this repository into a binary.
package standard

import (
	_ "github.com/xnode-p2p/xnode/modules/certificate/autotls"
	_ "github.com/xnode-p2p/xnode/modules/certificate/file"
	_ "github.com/xnode-p2p/xnode/modules/certificate/selfsigned"
	_ "github.com/xnode-p2p/xnode/modules/discovery/bootstrap"
	_ "github.com/xnode-p2p/xnode/modules/discovery/mdns"
	_ "github.com/xnode-p2p/xnode/modules/discovery/randomwalk"
	_ "github.com/xnode-p2p/xnode/modules/discovery/rendezvous"
	_ "github.com/xnode-p2p/xnode/modules/identity/env"
	_ "github.com/xnode-p2p/xnode/modules/identity/ephemeral"
	_ "github.com/xnode-p2p/xnode/modules/identity/file"
	_ "github.com/xnode-p2p/xnode/modules/muxer/mplex"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	_ "github.com/xnode-p2p/xnode/modules/protocol/echo"
	_ "github.com/xnode-p2p/xnode/modules/protocol/perf"
	_ "github.com/xnode-p2p/xnode/modules/protocol/ping"
	_ "github.com/xnode-p2p/xnode/modules/pubsub/floodsub"
	_ "github.com/xnode-p2p/xnode/modules/pubsub/gossipsub"
	_ "github.com/xnode-p2p/xnode/modules/record/ipns"
	_ "github.com/xnode-p2p/xnode/modules/record/pk"
	_ "github.com/xnode-p2p/xnode/modules/routing/delegated"
	_ "github.com/xnode-p2p/xnode/modules/routing/delegatedserver"
	_ "github.com/xnode-p2p/xnode/modules/routing/kad"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
	_ "github.com/xnode-p2p/xnode/modules/security/plaintext"
	_ "github.com/xnode-p2p/xnode/modules/security/pnet"
	_ "github.com/xnode-p2p/xnode/modules/security/tls"
	_ "github.com/xnode-p2p/xnode/modules/storage/bbolt"
	_ "github.com/xnode-p2p/xnode/modules/storage/memory"
	_ "github.com/xnode-p2p/xnode/modules/transport/memory"
	_ "github.com/xnode-p2p/xnode/modules/transport/quic"
	_ "github.com/xnode-p2p/xnode/modules/transport/tcp"
	_ "github.com/xnode-p2p/xnode/modules/transport/unix"
	_ "github.com/xnode-p2p/xnode/modules/transport/webrtcdirect"
	_ "github.com/xnode-p2p/xnode/modules/transport/websocket"
	_ "github.com/xnode-p2p/xnode/modules/transport/webtransport"
)
