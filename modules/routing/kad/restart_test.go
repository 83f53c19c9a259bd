// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
	_ "github.com/xnode-p2p/xnode/modules/storage/bbolt"
)

// TestRestart stops a node and starts it anew on the same file.
func TestRestart(t *testing.T) {
	n := coretest.FakeNodes(t, 3)
	path := t.TempDir() + "/store.db"
	run := func(what string, f func(k *Kad)) {
		storage := coretest.MustLoad[core.Storage](t, "bbolt", fmt.Sprintf(`{"path": %q}`, path))
		if err := storage.Start(t.Context(), n[0]); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		k := load(t, `{"network": "test", "open_namespaces": ["v"]}`)
		n[0].SetModules(storage, k)
		if err := k.Start(t.Context(), n[0]); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		f(k)
		if err := k.Close(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := storage.Close(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	run("first", func(k *Kad) {
		start(t, n[1], "")
		befriend(t, n[0], k, n[1])
		dial(t, n[2], n[0].ID()).ask(putValue("/v/x", "/v/x", []byte("value")))
		dial(t, n[2], n[0].ID()).send(addProvider([]byte("k"), n[2].ID(), n[2].Addrs()...))
		waitFor(t, func() bool { return k.dhts[0].stats.served[kadwire.AddProvider].Load() == 1 })
		if err := k.Keep(t.Context(), []byte("mine")); err != nil {
			t.Error(err)
		}
		if err := k.Keep(t.Context(), []byte("not for long")); err != nil {
			t.Error(err)
		}
		if err := k.Unkeep([]byte("not for long")); err != nil {
			t.Error(err)
		}
	})
	run("second", func(k *Kad) {
		if !k.dhts[0].contacts.has(n[1].ID()) {
			t.Error("the routing table is empty")
		}
		m := dial(t, n[2], n[0].ID()).ask(kadwire.NewBuffer(kadwire.GetValue, []byte("/v/x"), 0))
		var r record.ValueRecord
		if err := r.Unmarshal(m.Record); err != nil || string(r.Value) != "value" {
			t.Errorf("record %+v, %v", r, err)
		}
		if len(m.Closer) != 1 {
			t.Errorf("others are told of %d", len(m.Closer))
		}
		if got := providersAt(t, n[2], n[0], []byte("k")); len(got) != 1 || got[0].ID != n[2].ID() {
			t.Errorf("providers %v", got)
		}
		var kept []string
		for key, err := range k.Kept() {
			if err != nil {
				t.Error(err)
			}
			kept = append(kept, string(key))
		}
		if !slices.Equal(kept, []string{"mine"}) {
			t.Errorf("kept %q", kept)
		}
	})
}

// TestKeptIsProvidedAgain announces what is kept before others forget it.
func TestKeptIsProvidedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		server, k := start(t, n[1], ""), start(t, n[0], `"mode": "client"`)
		befriend(t, n[0], k, n[1])
		if err := k.Keep(t.Context(), []byte("content")); err != nil {
			t.Fatal(err)
		}
		if err := k.Provide(t.Context(), []byte("once")); err != nil {
			t.Fatal(err)
		}
		for day := range 5 {
			time.Sleep(24 * time.Hour)
			for key, want := range map[string]int{"content": 1, "once": max(0, min(1, 1-day))} {
				found := 0
				server.dhts[0].providers.get([]byte(key), time.Now(), func(peer.ID, []byte) bool { found++; return true })
				if key == "once" && day == 1 {
					continue // it is about to be forgotten
				}
				if found != want {
					t.Errorf("day %d: %d providers of %s, want %d", day, found, key, want)
				}
			}
		}
		server.Close()
		k.Close()
	})
}

// TestKeptRecordsAreStoredAgain stores what is kept before others forget it, until
// somebody has a better record, or it is not to be kept.
func TestKeptRecordsAreStoredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		server, k := start(t, n[1], ""), start(t, n[0], `"mode": "client"`)
		server.validators["n"], k.validators["n"] = rising{}, rising{}
		befriend(t, n[0], k, n[1])
		if err := k.KeepValue(t.Context(), "/n/kept", []byte("invalid")); err == nil {
			t.Error("what is not valid is kept")
		}
		for key, value := range map[string]byte{"/n/kept": 7, "/n/better": 3, "/n/ended": 4} {
			if err := k.KeepValue(t.Context(), key, []byte{value}); err != nil {
				t.Fatal(err)
			}
		}
		if err := k.PutValue(t.Context(), "/n/once", []byte{1}); err != nil {
			t.Fatal(err)
		}
		if err := k.UnkeepValue("/n/ended"); err != nil {
			t.Error(err)
		}
		if got := k.Stats()[0].KeptRecords; got != 2 {
			t.Errorf("%d are kept", got)
		}
		if err := server.dhts[0].values.put("/n/better", &record.ValueRecord{Key: "/n/better", Value: []byte{9}}, time.Now()); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			time.Sleep(24 * time.Hour)
		}
		for key, want := range map[string]byte{"/n/kept": 7, "/n/better": 0, "/n/once": 0, "/n/ended": 0} {
			r, err := server.dhts[0].values.get(key)
			if want == 0 && !errors.Is(err, core.ErrNotFound) || want > 0 && (err != nil || r.Value[0] != want) {
				t.Errorf("%s: %+v, %v", key, r, err)
			}
		}
		if got := k.Stats()[0].KeptRecords; got != 1 {
			t.Errorf("%d are kept", got)
		}
		server.Close()
		k.Close()
	})
}

// TestReload starts a successor, with other settings, before the predecessor
// closes: what is stored is there, and the node serves all the time.
func TestReload(t *testing.T) {
	n := coretest.FakeNodes(t, 2)
	before := start(t, n[1], `"open_namespaces": ["v"]`)
	storage, _ := core.Find[core.Storage](n[1])
	dial(t, n[0], n[1].ID()).ask(putValue("/v/x", "/v/x", []byte("value")))
	after := load(t, `{"network": "test", "open_namespaces": ["v"], "requests": 7}`)
	n[1].SetModules(storage, after)
	if err := after.Start(t.Context(), n[1]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { after.Close() })
	if err := before.Close(); err != nil {
		t.Error(err)
	}
	m := dial(t, n[0], n[1].ID()).ask(kadwire.NewBuffer(kadwire.GetValue, []byte("/v/x"), 0))
	if m.Record == nil {
		t.Error("the record is gone")
	}
	dial(t, n[0], n[1].ID()).ask(putValue("/v/x", "/v/x", []byte("value 2")))
	if _, err := before.FindPeer(t.Context(), n[0].ID()); err == nil {
		t.Error("the predecessor finds peers")
	}
}
