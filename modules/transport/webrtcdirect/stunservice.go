// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// STUNService answers whoever asks, with STUN (RFC 8489), from which address they
// are seen, on all ports that the transport listens on. Nothing is kept of who has
// asked but for a second. An answer, with its headers, is a fourth longer than the
// shortest request over IPv4 and a third over IPv6, to an address that may be
// forged; the limits bound what somebody can have sent to others.
type STUNService struct {
	// Requests is how many requests a second are answered, of all that come.
	// From 1 to 1,000,000. Default: 1000.
	Requests int `json:"requests,omitempty"`
	// RequestsPerIP is how many requests a second are answered of one IP
	// address, or of one network of IPv6 (/64). From 1 to 1,000,000.
	// Default: 20, or requests if that is less.
	RequestsPerIP int `json:"requests_per_ip,omitempty"`

	mu     sync.Mutex
	second int64 // that the counts below are of
	total  int
	byIP   map[netip.Prefix]int // at most Requests
}

// maxRequests is the most that either limit of a [STUNService] may be.
const maxRequests = 1_000_000

func (s *STUNService) provision() {
	setDefault(&s.Requests, 1000)
	setDefault(&s.RequestsPerIP, min(20, s.Requests))
	s.byIP = make(map[netip.Prefix]int)
}

func (s *STUNService) validate() error {
	for _, check := range []struct {
		key   string
		value int
	}{{"requests", s.Requests}, {"requests_per_ip", s.RequestsPerIP}} {
		if check.value < 1 || check.value > maxRequests {
			return fmt.Errorf("%s: %d is not from 1 to %d", check.key, check.value, maxRequests)
		}
	}
	if s.RequestsPerIP > s.Requests {
		return errors.New("requests_per_ip: it is more than requests, which is for all together; lower it")
	}
	return nil
}

// answer answers a binding request that is not about a connection, nil if there are
// too many.
func (s *STUNService) answer(m message, from netip.AddrPort, now time.Time) []byte {
	if !s.take(from.Addr(), now) {
		return nil
	}
	w := beginSTUN(bindingResponse, m.transaction).add(attrXORMapped, xorMapped(from, m.transaction))
	if len(m.unknown) > 0 {
		w = beginSTUN(bindingError, m.transaction).add(attrErrorCode, []byte{0, 0, 4, 20}) // what is unknown must be understood
		var types []byte
		for _, t := range m.unknown {
			types = binary.BigEndian.AppendUint16(types, t)
		}
		w = w.add(attrUnknown, types)
	}
	if m.checked {
		return w.mark()
	}
	binary.BigEndian.PutUint16(w[2:], uint16(len(w)-stunHeader))
	return w
}

// take counts a request, if there is room for it.
func (s *STUNService) take(from netip.Addr, now time.Time) bool {
	bits := 32
	if from.Is6() {
		bits = 64
	}
	network, err := from.WithZone("").Prefix(bits)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if second := now.Unix(); second != s.second {
		s.second, s.total = second, 0
		clear(s.byIP)
	}
	if s.total >= s.Requests || s.byIP[network] >= s.RequestsPerIP {
		return false
	}
	s.total++
	s.byIP[network]++
	return true
}
