// SPDX-License-Identifier: Apache-2.0 OR MIT

package rendezvous

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
)

// entry is a registration that a point keeps.
type entry struct {
	peer      peer.ID
	namespace string
	record    []byte
	expires   time.Time
	number    uint64 // ascending: what is registered anew has a new one
}

// place is what there is one registration of.
type place struct {
	peer      peer.ID
	namespace string
}

// registry is what a rendezvous point keeps. It has no goroutine and no stream;
// the time comes with each call. What changes goes through to its table.
type registry struct {
	mu      sync.Mutex
	limits  Server
	table   core.Table // nil for a registry in memory alone
	secret  []byte     // of the cookies
	next    uint64
	entries map[place]*entry // bounded by limits.Registrations
	order   []*entry         // by number
	count   map[peer.ID]int  // of those that have any
}

// The keys of the table: those of registrations begin with a byte that is the
// length of a peer ID, which is never zero.
var secretKey = []byte{0}

// openRegistry reads a table.
func openRegistry(table core.Table, limits Server, now time.Time) (*registry, error) {
	r := &registry{limits: limits, table: table, next: 1, entries: make(map[place]*entry), count: make(map[peer.ID]int)}
	if table == nil {
		r.secret = newSecret()
		return r, nil
	}
	secret, err := table.Get(secretKey)
	if errors.Is(err, core.ErrNotFound) {
		secret = newSecret()
		err = table.Apply(core.Change{Key: secretKey, Value: secret})
	}
	if err != nil {
		return nil, fmt.Errorf("registrations: %w", err)
	}
	r.secret = secret
	for e, err := range table.Scan(nil) {
		if err != nil {
			return nil, fmt.Errorf("registrations: %w", err)
		}
		if len(r.entries) == limits.Registrations {
			break
		}
		if one := decodeEntry(e); one != nil && now.Before(one.expires) {
			r.entries[place{one.peer, one.namespace}] = one
			r.order = append(r.order, one)
			r.count[one.peer]++
			r.next = max(r.next, one.number+1)
		}
	}
	slices.SortFunc(r.order, func(a, b *entry) int { return cmp.Compare(a.number, b.number) })
	return r, nil
}

func newSecret() []byte {
	secret := make([]byte, sha256.Size)
	rand.Read(secret)
	return secret
}

func (e *entry) key() []byte {
	return slices.Concat([]byte{byte(len(e.peer))}, []byte(e.peer), []byte(e.namespace))
}

func (e *entry) change() core.Change {
	return core.Change{Key: e.key(), Value: append(binary.BigEndian.AppendUint64(nil, e.number), e.record...), Expires: e.expires}
}

// decodeEntry returns nil for what is none.
func decodeEntry(stored core.Entry) *entry {
	k, v := stored.Key, stored.Value
	if len(k) < 2 || k[0] == 0 || len(k) < 1+int(k[0]) || len(v) < 8 || stored.Expires.IsZero() {
		return nil
	}
	return &entry{
		peer: peer.ID(k[1 : 1+k[0]]), namespace: string(k[1+k[0]:]),
		number: binary.BigEndian.Uint64(v), record: v[8:], expires: stored.Expires,
	}
}

// Close lets go of the table.
func (r *registry) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.table == nil {
		return nil
	}
	return r.table.Close()
}

// setLimits changes the limits; what there is stays.
func (r *registry) setLimits(limits Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limits = limits
}

// refusal is why a request is not granted.
type refusal struct {
	status status
	text   string
}

// Error implements error.
func (e *refusal) Error() string { return e.status.String() + ": " + e.text }

func refuse(s status, format string, args ...any) *refusal {
	return &refusal{s, fmt.Sprintf(format, args...)}
}

// checkNamespace tells whether peers may meet under a name. All of 1 to 255
// bytes will do, as long as they are text.
func checkNamespace(namespace *string) *refusal {
	switch {
	case namespace == nil || *namespace == "":
		return refuse(invalidNamespace, "the namespace is missing")
	case len(*namespace) > core.MaxNamespace:
		return refuse(invalidNamespace, "the namespace has %d bytes, of at most %d", len(*namespace), core.MaxNamespace)
	case !utf8.ValidString(*namespace):
		return refuse(invalidNamespace, "the namespace is not UTF-8")
	}
	return nil
}

// register takes a registration of a peer, and returns for how long.
func (r *registry) register(p peer.ID, m *message, now time.Time) (time.Duration, *refusal) {
	if no := checkNamespace(m.namespace); no != nil {
		return 0, no
	}
	if len(m.record) > maxRecord {
		return 0, refuse(invalidRecord, "the record has %d bytes, of at most %d", len(m.record), maxRecord)
	}
	if _, err := record.ConsumePeerRecord(m.record, p); err != nil {
		return 0, refuse(invalidRecord, "no record that the peer has signed of itself")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ttl := defaultTTL
	if m.ttl != nil {
		ttl = time.Duration(min(*m.ttl, uint64(1<<32))) * time.Second
	}
	if least, most := time.Duration(r.limits.MinTTL), time.Duration(r.limits.MaxTTL); ttl < least || ttl > most {
		return 0, refuse(invalidTTL, "%v is not between %v and %v", ttl, least, most)
	}
	at := place{p, *m.namespace}
	before := r.entries[at]
	if before == nil {
		r.expireLocked(now)
		switch {
		case r.count[p] >= r.limits.RegistrationsPerPeer:
			return 0, refuse(notAuthorized, "%d registrations of a peer are enough", r.limits.RegistrationsPerPeer)
		case len(r.entries) >= r.limits.Registrations:
			return 0, refuse(unavailable, "there are %d registrations already", r.limits.Registrations)
		}
	}
	e := &entry{p, *m.namespace, slices.Clone(m.record), now.Add(ttl), r.next}
	if r.table != nil {
		if err := r.table.Apply(e.change()); err != nil {
			return 0, refuse(internalError, "the registration could not be stored")
		}
	}
	if before != nil {
		r.dropLocked(before)
	}
	r.next++
	r.entries[at] = e
	r.order = append(r.order, e)
	r.count[p]++
	return ttl, nil
}

// unregister takes a registration back.
func (r *registry) unregister(p peer.ID, m *message) error {
	if m.namespace == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[place{p, *m.namespace}]
	if e == nil {
		return nil
	}
	r.dropLocked(e)
	if r.table == nil {
		return nil
	}
	return r.table.Apply(core.Change{Key: e.key()})
}

func (r *registry) dropLocked(e *entry) {
	delete(r.entries, place{e.peer, e.namespace})
	if r.count[e.peer]--; r.count[e.peer] == 0 {
		delete(r.count, e.peer)
	}
	if i, ok := r.find(e.number); ok {
		r.order = slices.Delete(r.order, i, i+1)
	}
}

// find returns where a number is in the order, or would be.
func (r *registry) find(number uint64) (int, bool) {
	return slices.BinarySearchFunc(r.order, number, func(e *entry, n uint64) int { return cmp.Compare(e.number, n) })
}

// expireLocked forgets what has ended. The table does so by itself.
func (r *registry) expireLocked(now time.Time) {
	r.order = slices.DeleteFunc(r.order, func(e *entry) bool {
		if now.Before(e.expires) {
			return false
		}
		delete(r.entries, place{e.peer, e.namespace})
		if r.count[e.peer]--; r.count[e.peer] == 0 {
			delete(r.count, e.peer)
		}
		return true
	})
}

// search returns the registrations in a namespace, or all, that come after those
// that the cookie stands for, and the cookie for what comes after them.
func (r *registry) search(m *message, now time.Time) (found []registration, cookie []byte, no *refusal) {
	namespace := ""
	if m.namespace != nil && *m.namespace != "" {
		if no := checkNamespace(m.namespace); no != nil {
			return nil, nil, no
		}
		namespace = *m.namespace
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	after, valid := r.readCookie(m.cookie, namespace)
	if !valid {
		return nil, nil, refuse(invalidCookie, "the cookie is not one of this point for this namespace; ask without")
	}
	most, size := maxRegistrations, 0
	if m.limit != nil && *m.limit > 0 {
		most = int(min(*m.limit, maxRegistrations))
	}
	first, _ := r.find(after + 1)
	last := after
	for _, e := range r.order[first:] {
		if namespace == "" || e.namespace == namespace {
			size += len(e.record) + len(e.namespace) + 32
			if len(found) == most || size > maxAnswer-1024 {
				break
			}
			if left := e.expires.Sub(now); left > 0 {
				found = append(found, registration{e.namespace, e.record, uint64(left / time.Second)})
			}
		}
		last = e.number
	}
	return found, r.cookie(last, namespace), nil
}

// A cookie is the number of the last registration, and a proof that this point
// has said so about this namespace, as text: rust-libp2p takes what follows the
// eight bytes of a number for a namespace, and gives it back as it was.
func (r *registry) cookie(number uint64, namespace string) []byte {
	b := binary.BigEndian.AppendUint64(nil, number)
	mac := hmac.New(sha256.New, r.secret)
	mac.Write(b)
	mac.Write([]byte(namespace))
	return base64.RawURLEncoding.AppendEncode(b, mac.Sum(nil)[:16])
}

func (r *registry) readCookie(cookie []byte, namespace string) (number uint64, valid bool) {
	if len(cookie) == 0 {
		return 0, true
	}
	if len(cookie) < 8 {
		return 0, false
	}
	number = binary.BigEndian.Uint64(cookie)
	return number, hmac.Equal(cookie, r.cookie(number, namespace))
}
