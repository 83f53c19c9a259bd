// SPDX-License-Identifier: Apache-2.0 OR MIT

package portmap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

const (
	// firstWait is how long the first answer is waited for, each further one
	// twice as long as the one before.
	firstWait = 250 * time.Millisecond
	// maxAnswer bounds a datagram of NAT-PMP or PCP, in bytes.
	maxAnswer = 1100
)

// exchange sends a question to an address, again and again, until there is an
// answer from there that fits. accept says whether one does; it may fail for one
// that does and says no.
func exchange(ctx context.Context, to netip.AddrPort, question []byte, accept func([]byte) (fits bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to)) // which takes nothing from elsewhere
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	answer := make([]byte, maxAnswer)
	for wait := firstWait; ctx.Err() == nil; wait *= 2 {
		if _, err := c.Write(question); err != nil {
			return fmt.Errorf("%w: %w", errNoAnswer, err) // the port is closed
		}
		until := time.Now().Add(wait)
		for ctx.Err() == nil {
			c.SetReadDeadline(until)
			if ctx.Err() != nil {
				break
			}
			n, err := c.Read(answer)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				break
			}
			if err != nil {
				return fmt.Errorf("%w: %w", errNoAnswer, err)
			}
			if fits, err := accept(answer[:n]); fits {
				return err
			}
		}
	}
	return errNoAnswer
}
