// SPDX-License-Identifier: Apache-2.0 OR MIT

package portmap

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// port5351 is where gateways are asked in NAT-PMP and PCP.
const port5351 = 5351

// natpmp is NAT-PMP, https://www.rfc-editor.org/rfc/rfc6886.
type natpmp struct{ at netip.AddrPort }

// The operations of NAT-PMP; that of an answer has 128 more.
const (
	pmpAddress = 0
	pmpUDP     = 1
	pmpTCP     = 2
	pmpAnswer  = 128
)

// pmpResults are the results that are no success.
var pmpResults = [...]string{1: "unsupported version", "not authorized", "the gateway has no address", "out of resources", "unsupported operation"}

// pmpOperation is that of a network.
func pmpOperation(network string) byte {
	if network == "udp" {
		return pmpUDP
	}
	return pmpTCP
}

// ask sends a question and returns the answer, which has at least size bytes.
func (m natpmp) ask(ctx context.Context, question []byte, size int) (answer []byte, err error) {
	err = exchange(ctx, m.at, question, func(b []byte) (bool, error) {
		fits, err := pmpFits(question, b, size)
		answer = append(answer[:0], b...)
		return fits, err
	})
	return answer, err
}

// pmpFits tells whether a datagram is an answer to a question, and if so whether
// that was refused.
func pmpFits(question, b []byte, size int) (fits bool, err error) {
	if len(b) < 4 || b[0] != 0 || b[1] != question[1]+pmpAnswer {
		return false, nil
	}
	if result := binary.BigEndian.Uint16(b[2:]); result != 0 {
		return true, fmt.Errorf("result %d: %s", result, nameOf(pmpResults[:], int(result)))
	}
	return len(b) >= size, nil
}

func nameOf(names []string, i int) string {
	if i < len(names) && names[i] != "" {
		return names[i]
	}
	return "unknown"
}

// add implements [method].
func (m natpmp) add(ctx context.Context, r request) (grant, error) {
	b, err := m.ask(ctx, []byte{0, pmpAddress}, 12)
	if err != nil {
		return grant{}, err
	}
	ip := netip.AddrFrom4([4]byte(b[8:12]))
	port, lifetime, err := m.forward(ctx, r, r.outside, r.lifetime)
	if err != nil {
		return grant{}, err
	}
	return granted(ip, port, lifetime)
}

// remove implements [method].
func (m natpmp) remove(ctx context.Context, r request) error {
	_, _, err := m.forward(ctx, r, 0, 0)
	return err
}

func (m natpmp) forward(ctx context.Context, r request, outside uint16, lifetime time.Duration) (uint16, time.Duration, error) {
	q := []byte{0, pmpOperation(r.network), 0, 0}
	q = binary.BigEndian.AppendUint16(q, r.inside.Port())
	q = binary.BigEndian.AppendUint16(q, outside)
	q = binary.BigEndian.AppendUint32(q, uint32(lifetime/time.Second))
	b, err := m.ask(ctx, q, 16)
	if err != nil {
		return 0, 0, err
	}
	if got := binary.BigEndian.Uint16(b[8:]); got != r.inside.Port() {
		return 0, 0, fmt.Errorf("the answer is about port %d", got)
	}
	return binary.BigEndian.Uint16(b[10:]), time.Duration(binary.BigEndian.Uint32(b[12:])) * time.Second, nil
}
