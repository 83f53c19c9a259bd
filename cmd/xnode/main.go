// SPDX-License-Identifier: Apache-2.0 OR MIT

// Command xnode runs libp2p nodes from JSON configurations.
//
// To build a binary with modules of your choice, copy this file into a folder
// of its own, edit the imports, and there:
//
//	go mod init mynode
//	go mod tidy
//	go build
package main

import (
	xnodecmd "github.com/xnode-p2p/xnode/cmd"

	// Plug in modules here: single ones, or the standard distribution.
	_ "github.com/xnode-p2p/xnode/modules/standard"
)

func main() { xnodecmd.Main() }
