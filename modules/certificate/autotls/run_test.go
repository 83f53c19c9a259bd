// SPDX-License-Identifier: Apache-2.0 OR MIT

package autotls

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core/coretest"
)

const day = 24 * time.Hour

var publicIP = netip.MustParseAddr("1.2.3.4")

// issue makes a certificate with a key that is valid from and to so many days
// from now; without those, for 90 days.
func (r *roots) issue(name string, validity func() (from, to int)) (*issued, error) {
	from, to := 0, 90
	if validity != nil {
		from, to = validity()
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	der, err := r.sign(key.Public(), now.Add(time.Duration(from)*day-time.Hour), now.Add(time.Duration(to)*day), name)
	if err != nil {
		return nil, err
	}
	b, err := keyPEM(key)
	if err != nil {
		return nil, err
	}
	return parse(append(b, certPEM(der)...), name)
}

// world is a module in a bubble, with a fake for the network.
type world struct {
	*AutoTLS
	t    *testing.T
	node *node
	fake *fake
	log  bytes.Buffer
	told atomic.Int32 // calls of the watch
}

// inBubble runs a test with fake time.
func inBubble(t *testing.T, test func(*world)) {
	dataDir(t)
	synctest.Test(t, func(t *testing.T) {
		coretest.VerifyNoLeaks(t)
		w := &world{t: t, node: newNode(t), fake: &fake{roots: newRoots(t)}}
		w.restart()
		test(w)
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

// restart is a new instance with the same data folder.
func (w *world) restart() {
	w.t.Helper()
	if w.AutoTLS != nil {
		if err := w.Close(); err != nil {
			w.t.Error(err)
		}
	}
	w.AutoTLS = load(w.t, `{}`)
	w.AutoTLS.log = slog.New(slog.NewTextHandler(&w.log, nil))
	w.fake.name = newNames(w.node.ID(), w.Domain, false).wildcard
	w.fetch = w.fake.fetch
	w.Watch(func() { w.told.Add(1) })
	if err := w.Start(w.t.Context(), w.node); err != nil {
		w.t.Fatal(err)
	}
}

// expect compares what the module says after a time, and how many orders there
// have been.
func (w *world) expect(after time.Duration, phase Phase, orders int) {
	w.t.Helper()
	time.Sleep(after)
	synctest.Wait()
	if s := w.State(); s.Phase != phase || w.fake.count() != orders {
		w.t.Errorf("%s, %d orders; want %s, %d", s, w.fake.count(), phase, orders)
	}
	c, err := w.Certificate(nil)
	if (err == nil) != (len(w.ServerNames(publicIP)) > 0) || (c == nil) == (err == nil) {
		w.t.Errorf("certificate: %v, names: %v", err, w.ServerNames(publicIP))
	}
}

func TestStates(t *testing.T) {
	inBubble(t, func(w *world) {
		w.expect(0, WaitingPublicAddr, 0)
		if _, err := w.Certificate(nil); err == nil || !strings.Contains(err.Error(), "libp2p.direct: waiting-public-addr: the node has no public address") {
			t.Errorf("before there is one: %v", err)
		}
		w.node.moves("/ip4/192.168.1.1/tcp/4001", "/ip4/1.2.3.4/tcp/4001/tls/ws")
		w.expect(100*time.Hour, WaitingPublicAddr, 0)
		during := func() {
			if _, err := w.Certificate(nil); err == nil || w.told.Load() != 0 {
				t.Errorf("during the order: %v, told %d times", err, w.told.Load())
			}
		}
		w.fake.set(func(f *fake) { f.made = during })
		w.node.moves("/ip4/192.168.1.1/tcp/4001", "/ip4/1.2.3.4/tcp/4001")
		w.expect(0, Issued, 1)
		w.fake.set(func(f *fake) { f.made = nil })
		if w.told.Load() != 1 || len(w.fake.sent) != 1 || w.fake.sent[0] != "/ip4/1.2.3.4/tcp/4001" {
			t.Errorf("told %d times, sent %v", w.told.Load(), w.fake.sent)
		}
		if s := w.State(); !strings.HasPrefix(s.String(), "issued until ") || s.Until.IsZero() || s.Next.IsZero() {
			t.Errorf("state: %s", s)
		}
		w.node.moves() // a certificate stays what it is
		w.expect(59*day, Issued, 1)
		w.expect(4*day, WaitingPublicAddr, 1) // it is time to renew
		w.node.moves("/ip4/1.2.3.4/tcp/4001")
		w.expect(0, Issued, 2)
		if got := strings.Count(w.log.String(), "msg=certificate state="); got != 4 {
			t.Errorf("%d lines, want one each change of state:\n%s", got, w.log.String())
		}
	})
}

// TestRenewal has a certificate renewed again and again, and then not.
func TestRenewal(t *testing.T) {
	inBubble(t, func(w *world) {
		w.node.moves("/ip4/1.2.3.4/tcp/4001")
		w.expect(0, Issued, 1)
		first := w.State()
		if life := time.Until(first.Until); first.Next.Before(time.Now().Add(life*2/3-time.Hour)) || first.Next.After(time.Now().Add(life*7/10)) {
			t.Errorf("of %s, renewed after %s", life, time.Until(first.Next))
		}
		for i := range 4 {
			w.expect(time.Until(w.State().Next)-time.Minute, Issued, i+1)
			w.expect(2*time.Minute, Issued, i+2)
		}
		w.fake.set(func(f *fake) { f.err = errors.New("the broker is gone") })
		w.expect(time.Until(w.State().Next)+time.Second, Failed, 6)
		s, told := w.State(), w.told.Load()
		if s.Until.IsZero() || s.Reason != "the broker is gone" || !strings.Contains(s.String(), "failed: the broker is gone; next try at ") {
			t.Errorf("state: %s", s)
		}
		time.Sleep(time.Until(s.Until) - time.Second)
		if _, err := w.Certificate(nil); err != nil || w.told.Load() != told {
			t.Errorf("before its end: %v, told %d times", err, w.told.Load()-told)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, err := w.Certificate(nil); err == nil || w.told.Load() != told+1 || w.ServerNames(publicIP) != nil || !w.State().Until.IsZero() && w.State().Phase == Issued {
			t.Errorf("after its end: %v, told %d times, %s", err, w.told.Load()-told, w.State())
		}
		if n := w.fake.count(); n < 40 || n > 80 {
			t.Errorf("%d orders in a month of failures", n)
		}
		w.fake.set(func(f *fake) { f.err = nil })
		time.Sleep(maxRetry * 2)
		synctest.Wait()
		if s := w.State(); s.Phase != Issued {
			t.Errorf("it works again: %s", s)
		}
	})
}

func TestBackOff(t *testing.T) {
	inBubble(t, func(w *world) {
		w.fake.set(func(f *fake) { f.err = errors.New("no") })
		w.node.moves("/ip4/1.2.3.4/tcp/4001")
		w.expect(0, Failed, 1)
		w.expect(time.Minute, Failed, 1)
		w.expect(2*time.Minute, Failed, 2)
		w.expect(6*time.Hour, Failed, 8)
		w.fake.set(func(f *fake) { f.err = &laterError{errors.New("too many"), time.Now().Add(20 * time.Hour)} })
		w.expect(6*time.Hour, Failed, 9)
		w.expect(13*time.Hour, Failed, 9)
		w.fake.set(func(f *fake) { f.err = &laterError{errors.New("too many"), time.Now().Add(2000 * time.Hour)} })
		w.expect(7*time.Hour, Failed, 10)
		w.fake.set(func(f *fake) { f.err = nil })
		w.expect(maxLater, Issued, 11)
	})
}

// TestDelay has many failures, so that the shift would overflow.
func TestDelay(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: firstRetry, 2: 2 * firstRetry, 5: 16 * firstRetry, 19: maxRetry, 1000: maxRetry} {
		if got := delay(failures, errors.New("x")); got < want*4/5 || got > want*6/5 {
			t.Errorf("%d failures: %s, want about %s", failures, got, want)
		}
	}
}

// TestRestart has a certificate in the data folder: no order is made.
func TestRestart(t *testing.T) {
	inBubble(t, func(w *world) {
		w.node.moves("/ip4/1.2.3.4/tcp/4001")
		w.expect(0, Issued, 1)
		w.node.moves()
		w.restart()
		w.expect(0, Issued, 1)
		time.Sleep(60 * day) // due for renewal after the next start
		w.node.moves("/ip4/1.2.3.4/tcp/4001")
		w.restart()
		w.expect(4*day, Issued, 2)
		if err := os.RemoveAll(w.dir); err != nil {
			t.Fatal(err)
		}
		w.restart()
		w.expect(0, Issued, 3)
	})
}

// TestOthersCertificate has that of another peer in the place of the node's.
func TestOthersCertificate(t *testing.T) {
	inBubble(t, func(w *world) {
		other, err := w.fake.roots.issue("*.other.libp2p.direct", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.keep(other); err != nil {
			t.Fatal(err)
		}
		w.restart()
		w.expect(0, WaitingPublicAddr, 0)
		w.node.moves("/ip4/1.2.3.4/tcp/4001")
		w.expect(0, Issued, 1)
		if !strings.Contains(w.log.String(), "the certificate is for [*.other.libp2p.direct]") {
			t.Errorf("not told:\n%s", w.log.String())
		}
	})
}

// TestClock has certificates that are not valid at the time.
func TestClock(t *testing.T) {
	inBubble(t, func(w *world) {
		w.fake.set(func(f *fake) { f.from = func() (from, to int) { return 2, 92 } })
		w.node.moves("/ip4/1.2.3.4/tcp/4001")
		w.expect(0, Failed, 1)
		if r := w.State().Reason; !strings.Contains(r, "the certificate is not valid before") || !strings.Contains(r, "look at the clock") {
			t.Errorf("reason: %s", r)
		}
		w.expect(day, Failed, 1) // another one would not be better
		w.expect(2*day, Issued, 1)
		w.restart()
		w.expect(0, Issued, 1)
	})
	inBubble(t, func(w *world) {
		w.fake.set(func(f *fake) { f.from = func() (from, to int) { return -90, -1 } })
		w.node.moves("/ip4/1.2.3.4/tcp/4001")
		w.expect(0, Failed, 1)
		if r := w.State().Reason; !strings.Contains(r, "the certificate has ended at") {
			t.Errorf("reason: %s", r)
		}
		w.fake.set(func(f *fake) { f.from = nil })
		w.expect(3*time.Minute, Issued, 2)
	})
}

// TestFolderCannotBeWritten has a certificate that cannot be kept: it is used.
func TestFolderCannotBeWritten(t *testing.T) {
	inBubble(t, func(w *world) {
		if err := os.WriteFile(filepath.Dir(w.dir), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		w.node.moves("/ip4/1.2.3.4/tcp/4001")
		w.expect(0, Issued, 1)
		if !strings.Contains(w.log.String(), "the certificate is not kept") {
			t.Errorf("not told:\n%s", w.log.String())
		}
	})
}

// TestTwoInstances has the module twice on a node, as with two transports or
// during a reload: one order does for both.
func TestTwoInstances(t *testing.T) {
	inBubble(t, func(w *world) {
		second := load(t, `{}`)
		second.fetch = w.fake.fetch
		if err := second.Start(t.Context(), w.node); err != nil {
			t.Fatal(err)
		}
		w.node.moves("/ip4/1.2.3.4/tcp/4001")
		w.expect(0, Issued, 1)
		if s := second.State(); s.Phase != Issued {
			t.Errorf("the second: %s", s)
		}
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	})
}
