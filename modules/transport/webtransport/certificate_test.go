// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// testSeed is the seed of all certificates in tests.
var testSeed = seed{1, 2, 3}

func mustRotation(t testing.TB, s seed) *rotation {
	t.Helper()
	r, err := newRotation(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustAt(t testing.TB, r *rotation, now time.Time) *generation {
	t.Helper()
	g, err := r.at(now)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Other bytes would mean that the addresses of all nodes stop working when they
// are updated.
func TestGolden(t *testing.T) {
	cert, err := testSeed.certificate(time.Unix(1_800_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(cert.Certificate[0])
	if got, want := hex.EncodeToString(hash[:]), "3ffd8b92af2be7c0af999c1e6ebd733977c94d86e7c7cba6caef749a72c2f2ef"; got != want {
		t.Errorf("the certificate's hash is %s, want %s", got, want)
	}
	r := mustRotation(t, testSeed)
	if got, want := r.start(time.Unix(1_800_000_000, 0)).Unix(), int64(1_799_533_561); got != want {
		t.Errorf("the period began at %d, want %d", got, want)
	}
}

// What browsers demand of a certificate that they know by its hash:
// https://www.w3.org/TR/webtransport/#custom-certificate-requirements.
func TestBrowserRules(t *testing.T) {
	g := mustAt(t, mustRotation(t, testSeed), time.Now())
	leaf := g.tls.Certificates[0].Leaf
	if key, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("the key is a %T, want one on P-256", leaf.PublicKey)
	}
	if leaf.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		t.Errorf("signed with %s", leaf.SignatureAlgorithm)
	}
	if err := leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature); err != nil {
		t.Errorf("not signed with its own key: %v", err)
	}
	if leaf.Version != 3 || !bytes.Equal(leaf.RawIssuer, leaf.RawSubject) {
		t.Errorf("version %d, issued by %s to %s", leaf.Version, leaf.Issuer, leaf.Subject)
	}
	if valid := leaf.NotAfter.Sub(leaf.NotBefore); valid >= 14*24*time.Hour {
		t.Errorf("valid for %s, which is not less than 14 days", valid)
	}
	if n := len(leaf.SerialNumber.Bytes()); n != 16 || leaf.SerialNumber.Sign() <= 0 {
		t.Errorf("serial number %s", leaf.SerialNumber)
	}
}

// The certificates of 60 days, asked for each hour by a node that restarts each
// time: no hash that was told stops working before it has to.
func TestEvil_A11_Rotation(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 30, 0, 0, time.UTC)
	const hour, days = time.Hour, 60
	carried := mustRotation(t, testSeed) // one that does not restart
	var last *generation
	changes := 0
	for h := range days * 24 {
		now := begin.Add(time.Duration(h) * hour)
		g := carried.current
		if g == nil || h%12 == 0 || !now.Before(g.until) { // a restart costs three signatures
			g = mustAt(t, mustRotation(t, testSeed), now)
		}
		if same := mustAt(t, carried, now); !bytes.Equal(same.hashes[0], g.hashes[0]) || !same.suffix.Equal(g.suffix) {
			t.Fatalf("%s: other hashes after a restart", now)
		}
		leaf := g.tls.Certificates[0].Leaf
		for _, off := range []time.Duration{-hour, 0, hour} {
			if seen := now.Add(off); seen.Before(leaf.NotBefore) || seen.After(leaf.NotAfter) {
				t.Errorf("%s: not valid for a clock that is off by %s", now, off)
			}
		}
		if last != nil && !bytes.Equal(g.hashes[0], last.hashes[0]) {
			changes++
			if !bytes.Equal(g.hashes[0], last.hashes[1]) || !bytes.Equal(g.hashes[2], last.hashes[0]) {
				t.Errorf("%s: the next certificate is not the one that was announced", now)
			}
		}
		if len(g.suffix) != 2 || !bytes.Equal(g.suffix[0].RawValue(), g.hashes[0]) || !bytes.Equal(g.suffix[1].RawValue(), g.hashes[1]) {
			t.Errorf("%s: the address has %s", now, g.suffix)
		}
		last = g
	}
	if changes != 4 {
		t.Errorf("%d changes in %d days, want 4", changes, days)
	}
}

func TestSeedsDiffer(t *testing.T) {
	a, b := mustRotation(t, testSeed), mustRotation(t, seed{1, 2, 4})
	if a.offset == b.offset {
		t.Error("two nodes change their certificates at the same time")
	}
	if bytes.Equal(mustAt(t, a, time.Now()).hashes[0], mustAt(t, b, time.Now()).hashes[0]) {
		t.Error("two nodes have the same certificate")
	}
	if g := mustAt(t, a, time.Now()); bytes.Equal(g.hashes[0], g.hashes[1]) || bytes.Equal(g.hashes[0], g.hashes[2]) {
		t.Error("two periods have the same certificate")
	}
}

// A clock that is set back, or is far off, finds a certificate too.
func TestAnyClock(t *testing.T) {
	r := mustRotation(t, testSeed)
	for _, now := range []time.Time{time.Unix(0, 0), time.Now(), time.Unix(1, 0), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)} {
		g := mustAt(t, r, now)
		if leaf := g.tls.Certificates[0].Leaf; now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
			t.Errorf("%s: got a certificate for %s to %s", now, leaf.NotBefore, leaf.NotAfter)
		}
	}
}

// The node is told of every change when it happens, and of nothing else.
func TestChangesAreAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := coretest.FakeNodes(t, 1)[0]
		tr := &Transport{}
		if err := tr.Start(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		r, err := tr.certificates()
		if err != nil {
			t.Fatal(err)
		}
		l := &listener{rotation: r, addr: webtransportPart}
		var changed atomic.Int32
		addr := l.Multiaddr()
		core.On(node, func(core.ListenersChanged) {
			changed.Add(1)
			if addr.Equal(l.Multiaddr()) {
				t.Error("the address has not changed")
			}
			addr = l.Multiaddr()
		})
		for _, c := range []struct {
			wait time.Duration
			want int32
		}{
			{time.Until(mustAt(t, r, time.Now()).until) - time.Second, 0},
			{2 * time.Second, 1},
			{period - 2*time.Second, 1},
			{2 * time.Second, 2},
			{10 * period, 12},
		} {
			time.Sleep(c.wait)
			synctest.Wait()
			if n := changed.Load(); n != c.want {
				t.Errorf("%s: %d changes were announced, want %d", time.Now(), n, c.want)
			}
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkCertificate(b *testing.B) {
	for b.Loop() {
		if _, err := testSeed.certificate(time.Unix(1_800_000_000, 0)); err != nil {
			b.Fatal(err)
		}
	}
}
