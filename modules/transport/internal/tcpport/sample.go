// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"net"
	"time"
)

const (
	// sampleTimeout is how long the first bytes of a connection may take.
	sampleTimeout = 5 * time.Second
	// maxSamples bounds the connections of a socket whose first bytes are
	// waited for.
	maxSamples = 512
)

// sample waits for the bytes that tell the connection's kind. It fails at the
// deadline, and when the connection is closed on either side.
func sample(c net.Conn) (kind Kind, h *head, err error) {
	if err := c.SetReadDeadline(time.Now().Add(sampleTimeout)); err != nil {
		return 0, nil, err
	}
	h = new(head)
	for decided := false; !decided; {
		n, err := c.Read(h.data[h.to:])
		h.to += n
		if kind, decided = classify(h.data[:h.to]); !decided && err != nil {
			return 0, nil, err
		}
	}
	return kind, h, c.SetReadDeadline(time.Time{})
}
