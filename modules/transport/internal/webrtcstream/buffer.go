// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcstream

import "sync"

// maxMessage is how long a message of a channel may be, in bytes. One should
// hold one frame, but implementations are known that put several into one.
const maxMessage = 64 << 10

// Buffers are lent while a message is written or read, and belong to no
// connection.
var (
	frameBuffers   = sync.Pool{New: func() any { return new([maxFrame]byte) }}
	messageBuffers = sync.Pool{New: func() any { return new([maxMessage]byte) }}
)
