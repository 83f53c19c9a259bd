// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// TestFromTheSamePortAgain: connections between the same two ports follow each
// other at once, whoever closes them first, and nothing that was written is lost.
func TestFromTheSamePortAgain(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells when the other side has got everything")
	}
	coretest.VerifyNoLeaks(t)
	var ours, theirs core.ShareTable
	from := listen(t, &ours, loopback, Options{Kind: Multistream, Reuse: true})
	to := listen(t, &theirs, loopback, Options{Kind: Multistream, Reuse: true})
	d := Dialer{Reuse: true, Kind: Multistream}
	dials := []func(context.Context, core.Shares, netip.AddrPort) (Conn, error){d.Dial, Punch{Dialer: d}.Dial}
	last := bytes.Repeat([]byte("last words "), 10_000)
	for i := range 8 {
		near, err := dials[i/4](t.Context(), &ours, to.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if at := AddrPort(near.LocalAddr()); at != from.Addr() {
			t.Fatalf("%d: from %s, want %s", i, at, from.Addr())
		}
		far, err := to.Accept()
		if err != nil {
			t.Fatal(err)
		}
		first, second := net.Conn(near), net.Conn(far)
		if i%2 == 1 {
			first, second = second, first
		}
		read := make(chan []byte)
		go func() {
			b, err := io.ReadAll(second)
			if err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
			read <- b
		}()
		if _, err := first.Write(last); err != nil {
			t.Fatal(err)
		}
		first.Close()
		if b := <-read; !bytes.Equal(b, last) {
			t.Errorf("%d: %d bytes of %d", i, len(b), len(last))
		}
		second.Close()
	}
	// Over a real network the system would refuse to dial while it remembers one
	// of them.
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	const timeWait = " 06 "
	in := func(at netip.AddrPort) string { // as the table has it
		ip := at.Addr().As4()
		return fmt.Sprintf(" %08X:%04X ", binary.LittleEndian.Uint32(ip[:]), at.Port())
	}
	for line := range strings.Lines(string(table)) {
		if strings.Contains(line, in(from.Addr())) && strings.Contains(line, in(to.Addr())) && strings.Contains(line, timeWait) {
			t.Errorf("remembered: %s", line)
		}
	}
}

// TestAcceptsAPartOfAPunch: what comes in from where a dial punches to ends like
// what that would have dialled.
func TestAcceptsAPartOfAPunch(t *testing.T) {
	var ours, theirs core.ShareTable
	from := listen(t, &ours, loopback, Options{Kind: Multistream, Reuse: true})
	to := listen(t, &theirs, loopback, Options{Kind: Multistream, Reuse: true})
	done := to.socket.ports.punch(from.Addr())
	for _, part := range []bool{true, false} {
		near, err := Punch{Dialer: Dialer{Reuse: true, Kind: Multistream}}.Dial(t.Context(), &ours, to.Addr())
		if err != nil {
			t.Fatal(err)
		}
		far, err := to.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if far.traceless != (part && runtime.GOOS == "linux") {
			t.Errorf("traceless: %v", far.traceless)
		}
		near.Close()
		far.Close()
		if part {
			done()
		}
	}
	if n := len(to.socket.ports.punched); n != 0 {
		t.Errorf("%d addresses are left", n)
	}
}
