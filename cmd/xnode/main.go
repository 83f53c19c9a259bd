// SPDX-License-Identifier: Apache-2.0 OR MIT

// Command xnode runs libp2p nodes from JSON configurations.
//
// To build a binary with modules of your choice, copy this file into a folder
// of its own, edit the imports, and there:
//
//	go mod init mynode
//	go mod tidy
//	go build
//
// To build with a checkout of xnode instead of a published version, say where
// it is before go mod tidy:
//
//	go mod edit -replace github.com/xnode-p2p/xnode=../xnode
//
// The modules of xnode are the folders modules/KIND/NAME. The least that runs
// without a configuration of its own is
//
//	_ "github.com/xnode-p2p/xnode/modules/identity/file"
//	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
//	_ "github.com/xnode-p2p/xnode/modules/security/noise"
//	_ "github.com/xnode-p2p/xnode/modules/transport/tcp"
package main

import (
	xnodecmd "github.com/xnode-p2p/xnode/cmd"

	// Plug in modules here: single ones, or the standard distribution.
	_ "github.com/xnode-p2p/xnode/modules/standard"
)

func main() { xnodecmd.Main(xnodecmd.Docs) }
