// SPDX-License-Identifier: Apache-2.0 OR MIT

package rendezvous

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"
	"unicode/utf8"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/record"
	_ "github.com/xnode-p2p/xnode/modules/storage/bbolt"
	_ "github.com/xnode-p2p/xnode/modules/storage/memory"
)

var start = time.Unix(1_000_000, 0)

// limited are limits for tests.
func limited(all, each int) Server {
	s := Server{MinTTL: core.Duration(time.Minute), Registrations: all, RegistrationsPerPeer: each}
	s.provision()
	return s
}

func open(t testing.TB, table core.Table, s Server) *registry {
	t.Helper()
	r, err := openRegistry(table, s, start)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// request is a registration of a peer, which signs it.
func request(t testing.TB, id *coretest.Identity, namespace string, ttl uint64) *message {
	t.Helper()
	env, err := record.SealPeerRecord(id, &record.PeerRecord{ID: id.ID(), Seq: 1, Addrs: []ma.Multiaddr{ma.StringCast("/ip4/8.8.8.8/tcp/1")}})
	if err != nil {
		t.Fatal(err)
	}
	return &message{kind: register, namespace: &namespace, record: env, ttl: &ttl}
}

// list is who is found, by namespace.
func list(t testing.TB, r *registry, m *message, now time.Time) (all []string, cookie []byte) {
	t.Helper()
	found, cookie, no := r.search(m, now)
	if no != nil {
		t.Fatal(no)
	}
	for _, f := range found {
		e, err := record.Unmarshal(f.record)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 30 {
			if id := coretest.NewIdentity(uint64(i + 1)); id.PublicKey().Equal(e.PublicKey) {
				all = append(all, fmt.Sprint(f.namespace, i+1))
			}
		}
	}
	return all, cookie
}

func TestRegister(t *testing.T) {
	id, other := coretest.NewIdentity(1), coretest.NewIdentity(2)
	good := request(t, id, "a", 120)
	long := string(make([]byte, 256))
	legacy, err := record.SealLegacyPeerRecord(id, &record.PeerRecord{ID: id.ID()})
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*message)) *message {
		m := *good
		change(&m)
		return &m
	}
	for name, tc := range map[string]struct {
		m    *message
		want status
		ttl  time.Duration
	}{
		"good":            {good, ok, 2 * time.Minute},
		"legacy":          {with(func(m *message) { m.record = legacy }), ok, 2 * time.Minute},
		"as usual":        {with(func(m *message) { m.ttl = nil }), ok, 2 * time.Hour},
		"longest":         {with(func(m *message) { m.ttl = new(uint64(72 * 3600)) }), ok, 72 * time.Hour},
		"too long":        {with(func(m *message) { m.ttl = new(uint64(72*3600 + 1)) }), invalidTTL, 0},
		"endless":         {with(func(m *message) { m.ttl = new(^uint64(0)) }), invalidTTL, 0},
		"too short":       {with(func(m *message) { m.ttl = new(uint64(59)) }), invalidTTL, 0},
		"no namespace":    {with(func(m *message) { m.namespace = nil }), invalidNamespace, 0},
		"empty namespace": {with(func(m *message) { m.namespace = new("") }), invalidNamespace, 0},
		"long namespace":  {with(func(m *message) { m.namespace = &long }), invalidNamespace, 0},
		"not UTF-8":       {with(func(m *message) { m.namespace = new("\xff") }), invalidNamespace, 0},
		"no record":       {with(func(m *message) { m.record = nil }), invalidRecord, 0},
		"garbage":         {with(func(m *message) { m.record = []byte{1} }), invalidRecord, 0},
		"another's":       {request(t, other, "a", 120), invalidRecord, 0},
		"huge":            {with(func(m *message) { m.record = make([]byte, maxRecord+1) }), invalidRecord, 0},
	} {
		got, no := open(t, nil, limited(10, 10)).register(id.ID(), tc.m, start)
		if s := statusOf(no); s != tc.want || got != tc.ttl {
			t.Errorf("%s: %v, %v, want %v, %v", name, s, got, tc.want, tc.ttl)
		}
	}
}

func statusOf(no *refusal) status {
	if no == nil {
		return ok
	}
	return no.status
}

// Searches go on where the last one has stopped, page by page, and registrations
// end.
func TestSearch(t *testing.T) {
	r := open(t, nil, limited(100, 10))
	add := func(peer int, namespace string) {
		id := coretest.NewIdentity(uint64(peer))
		if _, no := r.register(id.ID(), request(t, id, namespace, 600), start); no != nil {
			t.Fatal(no)
		}
	}
	check := func(m *message, now time.Time, want string) (cookie []byte) {
		t.Helper()
		got, cookie := list(t, r, m, now)
		if fmt.Sprint(got) != want {
			t.Errorf("%v, want %s", got, want)
		}
		return cookie
	}
	for i := range 5 {
		add(i+1, "a")
		add(i+1, "b")
	}
	in := func(namespace string, limit uint64, cookie []byte) *message {
		return &message{kind: discover, namespace: &namespace, limit: &limit, cookie: cookie}
	}
	check(in("", 3, nil), start, "[a1 b1 a2]")
	check(in("c", 0, nil), start, "[]")
	c := check(in("a", 2, nil), start, "[a1 a2]")
	c = check(in("a", 0, c), start, "[a3 a4 a5]")
	check(in("a", 0, c), start, "[]")
	add(6, "a")
	add(2, "a") // again
	c = check(in("a", 0, c), start, "[a6 a2]")
	check(in("a", 0, nil), start, "[a1 a3 a4 a5 a6 a2]")
	if err := r.unregister(coretest.NewIdentity(1).ID(), &message{namespace: new("a")}); err != nil {
		t.Error(err)
	}
	if err := r.unregister(coretest.NewIdentity(9).ID(), &message{namespace: new("a")}); err != nil {
		t.Error(err)
	}
	check(in("a", 0, nil), start, "[a3 a4 a5 a6 a2]")
	check(in("a", 0, nil), start.Add(10*time.Minute), "[]")
	check(&message{kind: discover}, start, "[b1 b2 a3 b3 a4 b4 a5 b5 a6 a2]")
	if _, _, no := r.search(in("b", 0, c), start); statusOf(no) != invalidCookie {
		t.Errorf("a cookie of another namespace: %v", no)
	}
}

// What is registered is there after a restart, and cookies are still good.
func TestRestart(t *testing.T) {
	for _, kind := range []string{"memory", "bbolt"} {
		t.Run(kind, func(t *testing.T) {
			config := `{}`
			if kind == "bbolt" {
				config = fmt.Sprintf(`{"path": %q}`, t.TempDir()+"/data.db")
			}
			storage := coretest.MustLoad[core.Storage](t, kind, config)
			if err := storage.Start(t.Context(), coretest.FakeNodes(t, 1)[0]); err != nil {
				t.Fatal(err)
			}
			defer storage.Close()
			table := func() core.Table {
				tb, err := storage.Table("rendezvous/registrations", core.Quota{})
				if err != nil {
					t.Fatal(err)
				}
				return tb
			}
			now := time.Now()
			r := open(t, table(), limited(10, 10))
			for i := range 5 {
				id := coretest.NewIdentity(uint64(i + 1))
				for range 2 {
					if _, no := r.register(id.ID(), request(t, id, "a", 600), now); no != nil {
						t.Fatal(no)
					}
				}
			}
			if err := r.unregister(coretest.NewIdentity(4).ID(), &message{namespace: new("a")}); err != nil {
				t.Fatal(err)
			}
			_, cookie := list(t, r, &message{namespace: new("a"), limit: new(uint64(2))}, now)
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			r = open(t, table(), limited(10, 10))
			defer r.Close()
			if got, _ := list(t, r, &message{namespace: new("a")}, now); fmt.Sprint(got) != "[a1 a2 a3 a5]" {
				t.Errorf("%v", got)
			}
			if got, _ := list(t, r, &message{namespace: new("a"), cookie: cookie}, now); fmt.Sprint(got) != "[a3 a5]" {
				t.Errorf("with the cookie of before: %v", got)
			}
			id := coretest.NewIdentity(6)
			if _, no := r.register(id.ID(), request(t, id, "a", 600), now); no != nil {
				t.Fatal(no)
			}
			if got, _ := list(t, r, &message{namespace: new("a"), cookie: cookie}, now); fmt.Sprint(got) != "[a3 a5 a6]" {
				t.Errorf("and a new one: %v", got)
			}
		})
	}
}

// Ten thousand namespaces, of one peer and of many: what is kept has a bound,
// and is given free only by its time or by whom it belongs to.
func TestEvil_R11_TenThousandNamespaces(t *testing.T) {
	r := open(t, nil, limited(1000, 100))
	id := coretest.NewIdentity(1)
	m := request(t, id, "", 600)
	granted := 0
	for i := range 10_000 {
		m.namespace = new(fmt.Sprint("n", i))
		if _, no := r.register(id.ID(), m, start); no == nil {
			granted++
		} else if no.status != notAuthorized {
			t.Fatal(no)
		}
	}
	if granted != 100 || len(r.entries) != 100 || len(r.order) != 100 {
		t.Errorf("%d granted, %d kept", granted, len(r.entries))
	}
	for i := range 20 {
		id := coretest.NewIdentity(uint64(i + 2))
		m := request(t, id, "", 600)
		for k := range 100 {
			m.namespace = new(fmt.Sprint("n", k))
			if _, no := r.register(id.ID(), m, start); no != nil && no.status != unavailable {
				t.Fatal(no)
			}
		}
	}
	if len(r.entries) != 1000 || len(r.order) != 1000 || len(r.count) > 1000 {
		t.Errorf("%d kept", len(r.entries))
	}
	late := coretest.NewIdentity(30)
	if _, no := r.register(late.ID(), request(t, late, "x", 600), start); statusOf(no) != unavailable {
		t.Errorf("one too many: %v", no)
	}
	if _, no := r.register(late.ID(), request(t, late, "x", 600), start.Add(10*time.Minute)); no != nil {
		t.Errorf("after their time: %v", no)
	}
	if len(r.entries) != 1 || len(r.order) != 1 || len(r.count) != 1 {
		t.Errorf("%d, %d, %d left", len(r.entries), len(r.order), len(r.count))
	}
}

// A cookie is good for what it was given for, and costs the point nothing.
func TestEvil_R11_Cookies(t *testing.T) {
	r := open(t, nil, limited(100, 100))
	id := coretest.NewIdentity(1)
	if _, no := r.register(id.ID(), request(t, id, "a", 600), start); no != nil {
		t.Fatal(no)
	}
	_, cookie, no := r.search(&message{namespace: new("a")}, start)
	if no != nil {
		t.Fatal(no)
	}
	if len(cookie) < 8 || !utf8.Valid(cookie[8:]) { // rust-libp2p takes the rest for text
		t.Errorf("cookie %q", cookie)
	}
	for i := range cookie {
		for _, bit := range []byte{1, 0x80} {
			bad := append([]byte(nil), cookie...)
			bad[i] ^= bit
			if _, _, no := r.search(&message{namespace: new("a"), cookie: bad}, start); statusOf(no) != invalidCookie {
				t.Errorf("%q for %q: %v", bad, cookie, no)
			}
		}
	}
	for _, bad := range [][]byte{{0}, cookie[:8], cookie[:len(cookie)-1], append(cookie[:len(cookie):len(cookie)], 0), make([]byte, 1<<16), binary.BigEndian.AppendUint64(nil, 1)} {
		if _, _, no := r.search(&message{namespace: new("a"), cookie: bad}, start); statusOf(no) != invalidCookie {
			t.Errorf("%d bytes: %v", len(bad), no)
		}
	}
	for _, namespace := range []string{"", "b"} {
		if _, _, no := r.search(&message{namespace: &namespace, cookie: cookie}, start); statusOf(no) != invalidCookie {
			t.Errorf("in namespace %q: %v", namespace, no)
		}
	}
	other := open(t, nil, limited(1, 1))
	if _, _, no := other.search(&message{namespace: new("a"), cookie: cookie}, start); statusOf(no) != invalidCookie {
		t.Errorf("at another point: %v", no)
	}
}

// An answer fits into what others read.
func TestEvil_R11_LargeAnswers(t *testing.T) {
	r := open(t, nil, limited(1000, 1000))
	id := coretest.NewIdentity(1)
	var addrs []ma.Multiaddr
	for i := range 150 {
		addrs = append(addrs, ma.StringCast(fmt.Sprintf("/ip6/2001:db8::%x/tcp/4001", i)))
	}
	env, err := record.SealPeerRecord(id, &record.PeerRecord{ID: id.ID(), Addrs: addrs})
	if err != nil || len(env) > maxRecord {
		t.Fatalf("%d bytes, %v", len(env), err)
	}
	for i := range 1000 {
		if _, no := r.register(id.ID(), &message{namespace: new(fmt.Sprint("n", i)), record: env}, start); no != nil {
			t.Fatal(no)
		}
	}
	total := 0
	var cookie []byte
	for {
		found, next, no := r.search(&message{cookie: cookie}, start)
		if no != nil {
			t.Fatal(no)
		}
		if len(found) == 0 {
			break
		}
		if b := (&message{kind: discoverResponse, found: found, cookie: next}).marshal(); len(b) > maxAnswer {
			t.Fatalf("%d bytes", len(b))
		}
		total += len(found)
		cookie = next
	}
	if total != 1000 {
		t.Errorf("%d of 1000", total)
	}
}
