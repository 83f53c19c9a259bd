// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// The newest of a kind gets its connections, those that wait included; the other
// kinds go on.
func TestReloadOfOneKind(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	var shares core.ShareTable
	tcp := listen(t, &shares, loopback, Options{Kind: Multistream})
	old := listen(t, &shares, tcp.Addr(), Options{Kind: HTTP})
	dial(t, tcp, greetings[HTTP])
	hears(t, old, greetings[HTTP])
	dial(t, tcp, greetings[HTTP]) // waits
	next := listen(t, &shares, tcp.Addr(), Options{Kind: HTTP})
	old.Close()
	dial(t, tcp, greetings[HTTP])
	dial(t, tcp, greetings[Multistream])
	hears(t, tcp, greetings[Multistream])
	hears(t, next, greetings[HTTP])
	hears(t, next, greetings[HTTP])
	// Another one that leaves again, as when a reload fails.
	undone := listen(t, &shares, tcp.Addr(), Options{Kind: HTTP})
	dial(t, tcp, greetings[HTTP])
	hears(t, undone, greetings[HTTP])
	dial(t, tcp, greetings[HTTP])
	undone.Close()
	hears(t, next, greetings[HTTP])
}

// While listeners of all kinds come and go, everybody who dials is answered.
func TestReloadsUnderLoad(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	const reloads, dialers = 30, 4
	var shares core.ShareTable
	var serving sync.WaitGroup
	serve := func(l *Listener) {
		serving.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Errorf("accept: %v", err)
					}
					return
				}
				serving.Go(func() {
					defer c.Close()
					io.Copy(c, c)
				})
			}
		})
	}
	current := [kinds]*Listener{}
	at := loopback
	for kind := range current {
		current[kind] = listen(t, &shares, at, Options{Kind: Kind(kind)})
		at = current[kind].Addr()
	}
	for _, l := range current {
		serve(l)
	}
	stop := make(chan struct{})
	var dialling sync.WaitGroup
	for d := range dialers {
		dialling.Go(func() {
			for i := d; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := ask(at.String(), greetings[i%kinds]); err != nil {
					t.Errorf("%v: %v", Kind(i%kinds), err)
				}
			}
		})
	}
	for i := range reloads {
		kind := Kind(i % kinds)
		next := listen(t, &shares, at, Options{Kind: kind})
		if i%4 == 3 { // it fails
			next.Close()
			continue
		}
		serve(next)
		current[kind].Close()
		current[kind] = next
	}
	close(stop)
	dialling.Wait()
	for _, l := range current {
		l.Close()
	}
	serving.Wait()
}

// ask dials and wants back what it says.
func ask(at, says string) error {
	c, err := net.Dial("tcp", at)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, says); err != nil {
		return err
	}
	got := make([]byte, len(says))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != says {
		return fmt.Errorf("%q came back, %w", got, err)
	}
	return nil
}
