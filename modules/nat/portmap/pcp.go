// SPDX-License-Identifier: Apache-2.0 OR MIT

package portmap

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// pcp is PCP, https://www.rfc-editor.org/rfc/rfc6887.
type pcp struct{ at netip.AddrPort }

const (
	pcpVersion = 2
	pcpMap     = 1
	pcpAnswer  = 0x80
	pcpHeader  = 24
	pcpSize    = pcpHeader + 36 // of a question about a port, and its answer
)

// pcpResults are the results that are no success.
var pcpResults = [...]string{1: "unsupported version", "not authorized", "malformed request", "unsupported operation", "unsupported option",
	"malformed option", "network failure", "no resources", "unsupported protocol", "too many ports", "cannot provide that port",
	"the address is not that of the client", "excessive remote peers"}

// pcpProtocol is the number of a network, as IP has it.
func pcpProtocol(network string) byte {
	if network == "udp" {
		return 17
	}
	return 6
}

// question asks for a port for some time; for none, to give it back.
func (pcp) question(r request, lifetime time.Duration) []byte {
	own := r.inside.Addr().As16()
	b := []byte{pcpVersion, pcpMap, 0, 0}
	b = binary.BigEndian.AppendUint32(b, uint32(lifetime/time.Second))
	b = append(b, own[:]...)
	b = append(b, r.nonce[:]...)
	b = append(b, pcpProtocol(r.network), 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, r.inside.Port())
	b = binary.BigEndian.AppendUint16(b, r.outside)
	any4 := netip.IPv4Unspecified().As16()
	return append(b, any4[:]...)
}

// pcpGrant is what an answer says.
type pcpGrant struct {
	ip       netip.Addr
	port     uint16
	lifetime time.Duration
}

// ask sends a question and reads the answer.
func (m pcp) ask(ctx context.Context, r request, lifetime time.Duration) (g pcpGrant, err error) {
	q := m.question(r, lifetime)
	err = exchange(ctx, m.at, q, func(b []byte) (fits bool, err error) {
		g, fits, err = pcpRead(q, b)
		return fits, err
	})
	return g, err
}

// pcpRead reads a datagram. It fits if it is an answer to the question; err is how
// that was refused.
func pcpRead(question, b []byte) (g pcpGrant, fits bool, err error) {
	if len(b) < pcpHeader || b[1] != pcpMap|pcpAnswer {
		// One who speaks NAT-PMP alone answers so, with a version of its own.
		if len(b) >= 4 && b[0] == 0 && b[3] == 1 {
			return g, true, fmt.Errorf("result 1: %s", pcpResults[1])
		}
		return g, false, nil
	}
	if result := int(b[3]); result != 0 {
		return g, true, fmt.Errorf("result %d: %s", result, nameOf(pcpResults[:], result))
	}
	// The nonce, the protocol, what is reserved, and the port inside.
	if len(b) < pcpSize || b[0] != pcpVersion || !bytes.Equal(b[pcpHeader:pcpHeader+13], question[pcpHeader:pcpHeader+13]) ||
		!bytes.Equal(b[pcpHeader+16:pcpHeader+18], question[pcpHeader+16:pcpHeader+18]) {
		return g, false, nil
	}
	g.lifetime = time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Second
	g.port = binary.BigEndian.Uint16(b[pcpHeader+18:])
	g.ip = netip.AddrFrom16([16]byte(b[pcpHeader+20 : pcpSize]))
	return g, true, nil
}

// add implements [method].
func (m pcp) add(ctx context.Context, r request) (grant, error) {
	g, err := m.ask(ctx, r, r.lifetime)
	if err != nil {
		return grant{}, err
	}
	return granted(g.ip, g.port, g.lifetime)
}

// remove implements [method].
func (m pcp) remove(ctx context.Context, r request) error {
	_, err := m.ask(ctx, r, 0)
	return err
}
