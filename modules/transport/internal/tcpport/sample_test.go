// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/modules/transport/internal/crowd"
)

// sampling is one connection that is sampled.
type sampling struct {
	remote *memnet.Conn
	local  net.Conn
	kind   Kind
	head   *head
	err    error
	took   time.Duration
	done   sync.WaitGroup
}

// newSampling begins to sample a connection from an address.
func newSampling(t *testing.T, s *crowd.Crowd, from string) *sampling {
	t.Helper()
	local, remote := memnet.Pipe()
	r := &sampling{remote: remote, local: local}
	g, _ := s.Enter(netip.MustParseAddr(from), func() { local.Close() })
	if g == nil {
		t.Fatal("the crowd is closed")
	}
	begin := time.Now()
	r.done.Go(func() {
		r.kind, r.head, r.err = sample(local)
		g.Leave()
		r.took = time.Since(begin)
		if r.err != nil {
			local.Close()
		}
	})
	t.Cleanup(func() { local.Close(); remote.Close() })
	return r
}

func TestSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := crowd.New(maxSamples)
		for _, tc := range []struct {
			says []string
			want Kind
			head string
		}{
			{[]string{"\x13/multistream/1.0.0\n"}, Multistream, "\x13/multis"},
			{[]string{"\x13"}, Multistream, "\x13"},
			{[]string{"G", "E", "T", " "}, HTTP, "GET "},
			{[]string{"G", "E", "X"}, Multistream, "GEX"},
			{[]string{"\x16", "\x03", "\x01"}, TLS, "\x16\x03\x01"},
			{[]string{"\x16", "\x07"}, Multistream, "\x16\x07"},
		} {
			r := newSampling(t, s, "192.0.2.1")
			for _, part := range tc.says {
				time.Sleep(time.Second)
				io.WriteString(r.remote, part)
				synctest.Wait()
			}
			r.done.Wait()
			if r.err != nil || r.kind != tc.want || string(r.head.data[:r.head.to]) != tc.head {
				t.Errorf("%q: %v, %v, want %v", tc.says, r.kind, r.err, tc.want)
				continue
			}
			// The deadline is over with the sampling.
			time.Sleep(time.Minute)
			io.WriteString(r.remote, "!")
			if n, err := r.local.Read(make([]byte, 64)); n == 0 || err != nil {
				t.Errorf("%q: then read %d bytes, %v", tc.says, n, err)
			}
		}
		if s.Len() != 0 {
			t.Errorf("%d samples are left", s.Len())
		}
	})
}

// Connections that say too little, or say it too slowly, end at the deadline.
func TestEvil_Q12_BytesThenSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := crowd.New(maxSamples)
		for _, says := range []string{"", "G", "GE", "\x16", "\x16\x03", "CONNECT"} {
			r := newSampling(t, s, "192.0.2.1")
			for _, b := range says {
				time.Sleep(sampleTimeout / 10)
				r.remote.Write([]byte{byte(b)})
			}
			r.done.Wait()
			if !errors.Is(r.err, os.ErrDeadlineExceeded) || r.took != sampleTimeout {
				t.Errorf("%q: %v after %v, want the deadline at %v", says, r.err, r.took, sampleTimeout)
			}
			if _, err := r.remote.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%q: the remote reads %v, want EOF", says, err)
			}
		}
		for _, says := range []string{"", "GE"} {
			r := newSampling(t, s, "192.0.2.1")
			io.WriteString(r.remote, says)
			r.remote.Close()
			r.done.Wait()
			if r.err == nil || r.took != 0 {
				t.Errorf("%q and closed: %v after %v", says, r.err, r.took)
			}
		}
		if s.Len() != 0 {
			t.Errorf("%d samples are left", s.Len())
		}
	})
}

// One address that opens more connections than there is room for, and says
// nothing on them, loses its own; others need not hurry.
func TestEvil_D4_SilentFloodFromOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := crowd.New(maxSamples)
		var honest []*sampling
		for _, from := range []string{"198.51.100.1", "198.51.100.2", "2001:db8::1"} {
			honest = append(honest, newSampling(t, s, from))
		}
		var flood []*sampling
		for range 3 * maxSamples {
			flood = append(flood, newSampling(t, s, "192.0.2.1"))
		}
		// The hosts of one IPv6 network count as one.
		for i := range 2 * maxSamples {
			at := netip.MustParseAddr("2001:db8:0:100::").As16()
			at[14], at[15] = byte(i>>8), byte(i)
			flood = append(flood, newSampling(t, s, netip.AddrFrom16(at).String()))
		}
		if s.Len() != maxSamples {
			t.Errorf("%d samples, want %d", s.Len(), maxSamples)
		}
		time.Sleep(sampleTimeout / 2)
		for _, r := range honest {
			io.WriteString(r.remote, "GET /")
			r.done.Wait()
			if r.err != nil || r.kind != HTTP {
				t.Errorf("an honest remote: %v, %v", r.kind, r.err)
			}
		}
		time.Sleep(sampleTimeout)
		for _, r := range flood {
			if r.done.Wait(); r.err == nil {
				t.Error("a silent connection was let in")
			}
		}
		if s.Len() != 0 {
			t.Errorf("%d samples are left", s.Len())
		}
	})
}

// When every address has one, the one that has been silent for longest goes.
func TestEvil_A9_SilentFloodFromManyAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := crowd.New(maxSamples)
		var all []*sampling
		for i := range maxSamples + 1 {
			all = append(all, newSampling(t, s, netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}).String()))
		}
		synctest.Wait()
		all[0].done.Wait()
		if all[0].took != 0 || all[0].err == nil {
			t.Errorf("the oldest: %v after %v", all[0].err, all[0].took)
		}
		for _, r := range all[1:] {
			io.WriteString(r.remote, "\x13")
			if r.done.Wait(); r.err != nil {
				t.Errorf("one that spoke: %v", r.err)
			}
		}
	})
}

func TestClosingEndsSampling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := crowd.New(maxSamples)
		r := newSampling(t, s, "192.0.2.1")
		synctest.Wait()
		s.Close()
		if r.done.Wait(); r.err == nil || r.took != 0 {
			t.Errorf("%v after %v", r.err, r.took)
		}
	})
}
