// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !linux

package udpport

import (
	"net"

	"golang.org/x/net/ipv4"
)

func newBatchReader(c *net.UDPConn) batchReader { return ipv4.NewPacketConn(c) }
