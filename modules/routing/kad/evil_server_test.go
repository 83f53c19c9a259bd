// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
)

// wantReset fails the test unless the server resets the stream.
func (c *client) wantReset() {
	c.t.Helper()
	if m, err := c.receive(); !errors.Is(err, core.ErrReset) {
		c.t.Errorf("got %+v, %v, want ErrReset", m, err)
	}
}

func putValue(key, recordKey string, value []byte) *kadwire.Buffer {
	w := kadwire.NewBuffer(kadwire.PutValue, []byte(key), 0)
	r := record.ValueRecord{Key: recordKey, Value: value, TimeReceived: time.Unix(1, 0)}
	w.Record(r.Marshal())
	return w
}

func TestEvil_K1_NoNamespace(t *testing.T) {
	n := coretest.FakeNodes(t, 2)
	k := start(t, n[1], `"open_namespaces": ["v"]`)
	for _, key := range []string{
		"", "a", "/", "//", "/pk", "/pk/", "/v", "/v/", "//x", "/w/x", "/V/x", "v/x", "\x00", "/\xff/x",
		"/v/" + strings.Repeat("x", record.MaxKey), strings.Repeat("x", 1<<20),
	} {
		c := dial(t, n[0], n[1].ID())
		c.send(putValue(key, key, []byte("value")))
		c.wantReset()
	}
	c := dial(t, n[0], n[1].ID()) // no record at all
	c.send(kadwire.NewBuffer(kadwire.PutValue, []byte("/v/x"), 0))
	c.wantReset()
	if s, err := k.dhts[0].values.table.Stat(); err != nil || s.Entries != 0 {
		t.Errorf("stored %+v, %v", s, err)
	}
}

// rising is a validator of values that are numbers, the higher the better.
type rising struct{}

func (rising) Validate(_ string, v []byte) error {
	if len(v) != 1 {
		return record.ErrInvalid
	}
	return nil
}

func (rising) Select(_ string, values [][]byte) (best int, err error) {
	for i, v := range values {
		if v[0] > values[best][0] {
			best = i
		}
	}
	return best, nil
}

func TestEvil_K2_RecordOfAnotherKey(t *testing.T) {
	n := coretest.FakeNodes(t, 2)
	k := start(t, n[1], "")
	k.validators["n"] = rising{}
	ask := func(w *kadwire.Buffer) *client {
		c := dial(t, n[0], n[1].ID())
		c.send(w)
		return c
	}
	ask(putValue("/n/a", "/n/b", []byte{1})).wantReset()
	ask(putValue("/n/a", "", []byte{1})).wantReset()
	ask(putValue("/n/a", "/n/a", []byte("invalid"))).wantReset()
	ask(putValue("/pk/"+string(n[1].ID()), "/pk/"+string(n[1].ID()), peer.MarshalPublicKey(n[0].PublicKey()))).wantReset()
	if _, err := ask(putValue("/n/a", "/n/a", []byte{5})).receive(); err != nil {
		t.Fatal(err)
	}
	ask(putValue("/n/a", "/n/a", []byte{4})).wantReset() // older than ours
	m := dial(t, n[0], n[1].ID()).ask(kadwire.NewBuffer(kadwire.GetValue, []byte("/n/a"), 0))
	var r record.ValueRecord
	if err := r.Unmarshal(m.Record); err != nil || r.Key != "/n/a" || !bytes.Equal(r.Value, []byte{5}) {
		t.Errorf("stored %+v, %v", r, err)
	}
	// The time is when it came, not what the sender said.
	if since := time.Since(r.TimeReceived); since < 0 || since > time.Hour {
		t.Errorf("received at %v", r.TimeReceived)
	}
}

func TestEvil_K3_SilentStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		k := start(t, n[1], "")
		c := dial(t, n[0], n[1].ID())
		for range 5 {
			time.Sleep(maxSilence - time.Second)
			c.ask(kadwire.NewBuffer(kadwire.Ping, nil, 0))
		}
		began := time.Now()
		c.wantReset()
		if took := time.Since(began); took != maxSilence {
			t.Errorf("ended after %v", took)
		}
		k.Close()
	})
}

// TestEvil_K3_EndlessRequests sends without end on all the streams it may have,
// and gets no more answers than the rate allows.
func TestEvil_K3_EndlessRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		k := start(t, n[1], `"requests": 50, "streams": 4`)
		for range 4 {
			c := dial(t, n[0], n[1].ID())
			go func() { // ends with the stream
				for {
					if _, err := c.Write(kadwire.NewBuffer(kadwire.Ping, nil, 0).Frame()); err != nil {
						return
					}
				}
			}()
			go io.Copy(io.Discard, c)
		}
		synctest.Wait() // the server serves four
		fifth := dial(t, n[0], n[1].ID())
		fifth.Write(kadwire.NewBuffer(kadwire.Ping, nil, 0).Frame())
		fifth.wantReset()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if got := k.dhts[0].stats.served[kadwire.Ping].Load(); got < 20*50 || got > 500+20*50+10 {
			t.Errorf("%d answers in 20 s", got)
		}
		k.Close()
	})
}

// TestEvil_K3_AnswersNotTaken has the server give up on who does not read.
func TestEvil_K3_AnswersNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		k := start(t, n[1], `"requests": 1000000`)
		c := dial(t, n[0], n[1].ID())
		ping := kadwire.NewBuffer(kadwire.Ping, bytes.Repeat([]byte{1}, 4096), 0).Frame()
		began := time.Now()
		for {
			if _, err := c.Write(ping); err != nil {
				break
			}
		}
		if took := time.Since(began); took != maxAnswering {
			t.Errorf("given up after %v", took)
		}
		k.Close()
	})
}

func addProvider(key []byte, p peer.ID, addrs ...ma.Multiaddr) *kadwire.Buffer {
	w := kadwire.NewBuffer(kadwire.AddProvider, key, 0)
	w.Provider(kadwire.AppendPeer(nil, p, addrs))
	return w
}

// providersAt asks a node for the providers of content.
func providersAt(t *testing.T, from, to *coretest.FakeNode, key []byte) (peers []kadwire.Peer) {
	t.Helper()
	return dial(t, from, to.ID()).ask(kadwire.NewBuffer(kadwire.GetProviders, key, 0)).Providers
}

func TestEvil_K4_ProviderOfAnother(t *testing.T) {
	n := coretest.FakeNodes(t, 3)
	k := start(t, n[1], "")
	own := n[0].Addrs()[0]
	for name, w := range map[string]*kadwire.Buffer{
		"for another":  addProvider([]byte("k"), n[2].ID(), own),
		"no address":   addProvider([]byte("k"), n[0].ID()),
		"no provider":  kadwire.NewBuffer(kadwire.AddProvider, []byte("k"), 0),
		"no key":       addProvider(nil, n[0].ID(), own),
		"long key":     addProvider(make([]byte, core.MaxContentKey+1), n[0].ID(), own),
		"get, no key":  kadwire.NewBuffer(kadwire.GetProviders, nil, 0),
		"get long key": kadwire.NewBuffer(kadwire.GetProviders, make([]byte, core.MaxContentKey+1), 0),
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, n[0], n[1].ID())
			c.send(w)
			c.wantReset()
		})
	}
	if got := providersAt(t, n[0], n[1], []byte("k")); len(got) != 0 {
		t.Errorf("providers %v", got)
	}
	// With one's own among others, and of every permitted length.
	for _, key := range [][]byte{{1}, make([]byte, core.MaxContentKey)} {
		w := addProvider(key, n[2].ID(), own)
		w.Provider(kadwire.AppendPeer(nil, n[0].ID(), []ma.Multiaddr{own}))
		dial(t, n[0], n[1].ID()).send(w)
		waitFor(t, func() bool { return len(providersAt(t, n[0], n[1], key)) == 1 })
		if got := providersAt(t, n[0], n[1], key); got[0].ID != n[0].ID() {
			t.Errorf("provider %v", got[0].ID)
		}
	}
	if k.dhts[0].stats.refused.Load() != 7 {
		t.Errorf("%d refused", k.dhts[0].stats.refused.Load())
	}
}

func TestEvil_K4_ForgedAddresses(t *testing.T) {
	n := coretest.FakeNodes(t, 2)
	start(t, n[1], "")
	addrs := []ma.Multiaddr{
		ma.StringCast("/ip4/127.0.0.1/tcp/22"), ma.StringCast("/ip4/169.254.169.254/tcp/80"), // near to the server, not to the peer
	}
	for i := range 100 {
		addrs = append(addrs, ma.StringCast(fmt.Sprintf("/ip4/192.0.2.%d/tcp/1", i)))
	}
	dial(t, n[0], n[1].ID()).send(addProvider([]byte("k"), n[0].ID(), addrs...))
	waitFor(t, func() bool { return len(providersAt(t, n[0], n[1], []byte("k"))) == 1 })
	got := slices.Collect(providersAt(t, n[0], n[1], []byte("k"))[0].Addrs())
	if len(got) != maxProviderAddrs {
		t.Errorf("%d addresses", len(got))
	}
	for _, a := range got {
		if ip, _ := peer.IP(a); ip.IsLoopback() || ip.IsLinkLocalUnicast() {
			t.Errorf("address %v", a)
		}
	}
}

// TestEvil_K4_Flood announces as fast as it can; it is slowed, and what is stored
// has its bound.
func TestEvil_K4_Flood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		k := start(t, n[1], `"announcements": 100, "requests": 10000, "max_providers": "64KiB"`)
		c := dial(t, n[0], n[1].ID())
		go func() { // ends with the stream
			for i := 0; ; i++ {
				if _, err := c.Write(addProvider(fmt.Appendf(nil, "key %d", i), n[0].ID(), n[0].Addrs()...).Frame()); err != nil {
					return
				}
			}
		}()
		time.Sleep(100 * time.Second)
		synctest.Wait()
		if got := k.dhts[0].stats.served[kadwire.AddProvider].Load(); got < 10_000 || got > 10_000+100*100+200 {
			t.Errorf("%d announcements in 100 s", got)
		}
		if s, err := k.dhts[0].providers.table.Stat(); err != nil || s.Bytes > 64<<10 || s.Entries < 100 {
			t.Errorf("stored %+v, %v", s, err)
		}
		k.Close()
	})
}

// TestEvil_K4_MillionAnnouncements brings 10^6 of them, all the server has to do
// with each included: no more is stored than there is room for, and what came
// last is there.
func TestEvil_K4_MillionAnnouncements(t *testing.T) {
	count := 1_000_000
	if testing.Short() || coretest.Race {
		count = 50_000
	}
	const quota = 8 << 20
	n := coretest.FakeNodes(t, 2)
	k := start(t, n[1], `"announcements": 1000000, "requests": 1000000, "max_providers": "8MiB"`)
	d := k.dhts[0]
	c := dial(t, n[0], n[1].ID())
	own := n[0].Addrs()
	for i := range count {
		w := addProvider(fmt.Appendf(nil, "key %d", i), n[0].ID(), own...)
		_, err := c.Write(w.Frame())
		w.Free()
		if err != nil {
			t.Fatal(err)
		}
		if i%(count/20) == 0 {
			if s, err := d.providers.table.Stat(); err != nil || s.Bytes > quota {
				t.Fatalf("after %d announcements: %+v, %v", i, s, err)
			}
		}
	}
	waitFor(t, func() bool { return d.stats.served[kadwire.AddProvider].Load() == uint64(count) })
	if err := d.providers.store(time.Now()); err != nil {
		t.Fatal(err)
	}
	s, err := d.providers.table.Stat()
	if err != nil || s.Bytes > quota || s.Bytes < quota/2 && count == 1_000_000 {
		t.Errorf("stored %+v, %v", s, err)
	}
	t.Logf("%d announcements: %d are kept, of %d bytes", count, s.Entries, s.Bytes)
	if got := providersAt(t, n[0], n[1], fmt.Appendf(nil, "key %d", count-1)); len(got) != 1 {
		t.Errorf("%d providers of what came last", len(got))
	}
	if got := providersAt(t, n[0], n[1], []byte("key 0")); len(got) != 0 && count == 1_000_000 {
		t.Errorf("%d providers of what came first", len(got))
	}
}

// TestProvidersExpire forgets addresses after a day and providers after two.
func TestProvidersExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		k := start(t, n[1], "")
		dial(t, n[0], n[1].ID()).send(addProvider([]byte("k"), n[0].ID(), n[0].Addrs()...))
		synctest.Wait()
		for _, step := range []struct {
			after            time.Duration
			providers, addrs int
		}{{0, 1, 1}, {23 * time.Hour, 1, 1}, {2 * time.Hour, 1, 0}, {22 * time.Hour, 1, 0}, {2 * time.Hour, 0, 0}} {
			time.Sleep(step.after)
			got := providersAt(t, n[0], n[1], []byte("k"))
			addrs := 0
			for _, p := range got {
				addrs += len(slices.Collect(p.Addrs()))
			}
			if len(got) != step.providers || addrs != step.addrs {
				t.Errorf("after %v more: %d providers with %d addresses", step.after, len(got), addrs)
			}
		}
		k.Close()
	})
}

func TestEvil_B2_LengthsThatAreNotTrue(t *testing.T) {
	n := coretest.FakeNodes(t, 2)
	start(t, n[1], "")
	for _, length := range []uint64{1<<63 - 1, 1 << 31, kadwire.MaxMessage + 1} {
		c := dial(t, n[0], n[1].ID())
		c.Write(wire.AppendUvarint(nil, length))
		c.wantReset()
	}
	c := dial(t, n[0], n[1].ID())
	c.Write(wire.AppendUvarint(nil, kadwire.MaxMessage)) // and nothing behind it
	c.CloseWrite()
	c.wantReset()
	dial(t, n[0], n[1].ID()).ask(kadwire.NewBuffer(kadwire.Ping, nil, 0))
}

func TestEvil_B3_HugeMessages(t *testing.T) {
	n := coretest.FakeNodes(t, 2)
	start(t, n[1], "")
	for name, b := range map[string][]byte{
		"empty closer peers":    bytes.Repeat([]byte{0x42, 0}, 1<<20),
		"empty provider peers":  bytes.Repeat([]byte{0x4a, 0}, 1<<20),
		"keys":                  bytes.Repeat([]byte{0x12, 0}, 1<<20),
		"fields nobody knows":   bytes.Repeat([]byte{0x7a, 0}, 1<<20),
		"records":               bytes.Repeat([]byte{0x1a, 0}, 1<<20),
		"peers with no address": bytes.Repeat([]byte{0x4a, 2, 0x12, 0}, 1<<19),
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, n[0], n[1].ID())
			go wire.WriteMessage(c, append([]byte{8, byte(kadwire.FindNode)}, b...))
			c.wantReset() // there is no key
		})
	}
	dial(t, n[0], n[1].ID()).ask(kadwire.NewBuffer(kadwire.Ping, nil, 0))
}

// broken is a table that fails.
type broken struct{ core.Table }

var errBroken = errors.New("the disk is on fire")

func (broken) Get([]byte) ([]byte, error)          { return nil, errBroken }
func (broken) Apply(...core.Change) error          { return errBroken }
func (broken) Stat() (s core.TableStat, err error) { return s, errBroken }
func (broken) Scan([]byte) iter.Seq2[core.Entry, error] {
	return func(yield func(core.Entry, error) bool) { yield(core.Entry{}, errBroken) }
}

func TestEvil_K10_BrokenStorage(t *testing.T) {
	n := coretest.FakeNodes(t, 2)
	k := start(t, n[1], `"open_namespaces": ["v"]`)
	d := k.dhts[0]
	d.values.table, d.providers.table = broken{d.values.table}, broken{d.providers.table}
	for name, w := range map[string]*kadwire.Buffer{
		"put":       putValue("/v/x", "/v/x", []byte("value")),
		"get":       kadwire.NewBuffer(kadwire.GetValue, []byte("/v/x"), 0),
		"providers": kadwire.NewBuffer(kadwire.GetProviders, []byte("x"), 0),
	} {
		c := dial(t, n[0], n[1].ID())
		c.send(w)
		if _, err := c.receive(); !errors.Is(err, core.ErrReset) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The caller of this node's own functions learns why.
	if err := k.PutValue(t.Context(), "/v/x", []byte("value")); !errors.Is(err, errBroken) {
		t.Errorf("put value: %v", err)
	}
	// Announcements are lost, and the node goes on.
	dial(t, n[0], n[1].ID()).send(addProvider([]byte("k"), n[0].ID(), n[0].Addrs()...))
	waitFor(t, func() bool { return d.stats.served[kadwire.AddProvider].Load() == 1 })
	dial(t, n[0], n[1].ID()).ask(kadwire.NewBuffer(kadwire.FindNode, []byte("x"), 0))
	if got := k.Stats(); len(got) != 1 || got[0].Served["FIND_NODE"] == 0 {
		t.Errorf("stats %+v", got)
	}
}

// slow is a table whose writes take as long as a test likes.
type slow struct {
	core.Table
	end     <-chan struct{}
	writing *atomic.Int32
}

func (s slow) Apply(changes ...core.Change) error {
	s.writing.Add(1)
	<-s.end
	return s.Table.Apply(changes...)
}

// TestEvil_K10_SlowStorage has no write end, while others bring more than can
// wait. Only those who write wait for that: who asks has an answer, with what is
// not stored yet too, and who connects has a place in the table.
func TestEvil_K10_SlowStorage(t *testing.T) {
	const flood = 3*maxPending + 5
	n := coretest.FakeNodes(t, 5)
	k := start(t, n[1], `"open_namespaces": ["v"], "announcements": 100000, "requests": 100000`)
	start(t, n[3], "")
	d := k.dhts[0]
	end, writes := make(chan struct{}), new(atomic.Int32)
	for _, table := range []*core.Table{&d.values.table, &d.providers.table, &d.saved} {
		*table = slow{*table, end, writes}
	}
	var writing sync.WaitGroup
	for i, p := range []*coretest.FakeNode{n[0], n[4]} {
		announcer, putter := dial(t, p, n[1].ID()), dial(t, p, n[1].ID())
		writing.Go(func() {
			for j := range flood {
				if _, err := announcer.Write(addProvider(fmt.Appendf(nil, "%d %d", i, j), p.ID(), p.Addrs()...).Frame()); err != nil {
					t.Error(err)
					return
				}
			}
		})
		writing.Go(func() {
			key := fmt.Sprint("/v/", i)
			if m := putter.ask(putValue(key, key, []byte("value"))); m.Record == nil {
				t.Error("the record was not confirmed")
			}
		})
	}
	waitFor(t, func() bool { return writes.Load() >= 2 && d.stats.served[kadwire.AddProvider].Load() > maxPending })
	befriend(t, n[1], k, n[3])
	for range 5 {
		c := dial(t, n[2], n[1].ID())
		if m := c.ask(kadwire.NewBuffer(kadwire.FindNode, []byte("x"), 0)); len(m.Closer) != 1 {
			t.Errorf("%d closer peers", len(m.Closer))
		}
		c.ask(kadwire.NewBuffer(kadwire.GetValue, []byte("/v/0"), 0))
		if m := c.ask(kadwire.NewBuffer(kadwire.GetProviders, []byte("0 7"), 0)); len(m.Providers) != 1 {
			t.Errorf("%d providers", len(m.Providers))
		}
	}
	if got := d.stats.served[kadwire.AddProvider].Load(); got >= 2*flood {
		t.Errorf("%d announcements were taken, with no place for them", got)
	}
	close(end)
	writing.Wait()
	waitFor(t, func() bool { s, err := d.providers.table.Stat(); return err == nil && s.Entries == 2*flood })
}

// TestEvil_K10_SpoiltRecords has the storage return other bytes than it was given.
func TestEvil_K10_SpoiltRecords(t *testing.T) {
	n := coretest.FakeNodes(t, 2)
	k := start(t, n[1], `"open_namespaces": ["v"]`)
	d := k.dhts[0]
	good := record.ValueRecord{Key: "/v/y", Value: []byte("y")}
	for key, value := range map[string][]byte{"/v/x": []byte("\xff\xff"), "/v/z": good.Marshal()} {
		if err := d.values.table.Apply(core.Change{Key: []byte(key), Value: value}); err != nil {
			t.Fatal(err)
		}
		if r, err := d.values.get(key); !errors.Is(err, core.ErrNotFound) {
			t.Errorf("%s: %+v, %v", key, r, err)
		}
	}
	spoilt := append(providersOf([]byte("k")), "not a peer"...)
	if err := d.providers.table.Apply(core.Change{Key: spoilt, Value: []byte("short")}); err != nil {
		t.Fatal(err)
	}
	if got := providersAt(t, n[0], n[1], []byte("k")); len(got) != 0 {
		t.Errorf("providers %v", got)
	}
	if err := d.values.put("/v/x", &record.ValueRecord{Key: "/v/x", Value: []byte("new")}, time.Now()); err != nil {
		t.Errorf("a spoilt record is in the way: %v", err)
	}
}
