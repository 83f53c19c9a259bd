// SPDX-License-Identifier: Apache-2.0 OR MIT

package delegatedserver

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// maxClients bounds the clients that are remembered. Of those without a
	// request one makes room for another.
	maxClients = 4096
	// burst is how many seconds' worth of requests may come at once.
	burst = 4
)

// gate decides which requests are served: so many at a time in all and of each
// client, and so many a second of each.
type gate struct {
	all, each int     // at a time
	rate      float64 // of each client, a second

	mu      sync.Mutex
	open    int
	clients map[netip.Prefix]*client // at most maxClients
}

// client is what is known of who sends requests from one place.
type client struct {
	open   int
	tokens float64
	at     time.Time // when the tokens were counted
}

// verdict is what becomes of a request.
type verdict int

const (
	served verdict = iota
	tooMany
	busy
)

// enter lets a request in, or says why not. Who has been let in leaves.
func (g *gate) enter(from netip.Addr, now time.Time) (v verdict, leave func()) {
	where := place(from)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open >= g.all {
		return busy, nil
	}
	c := g.clients[where]
	if c == nil {
		c = &client{tokens: burst * g.rate, at: now}
		g.makeRoom()
		g.clients[where] = c
	}
	c.tokens = min(burst*g.rate, c.tokens+g.rate*now.Sub(c.at).Seconds())
	c.at = now
	if c.open >= g.each || c.tokens < 1 {
		return tooMany, nil
	}
	c.tokens--
	c.open++
	g.open++
	return served, sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		c.open--
		g.open--
	})
}

// makeRoom forgets a client if there are too many. There is one without a request:
// fewer may have one than are remembered.
func (g *gate) makeRoom() {
	if g.clients == nil {
		g.clients = make(map[netip.Prefix]*client)
	}
	if len(g.clients) < maxClients {
		return
	}
	for where, c := range g.clients {
		if c.open == 0 {
			delete(g.clients, where)
			return
		}
	}
}

// place is where a client is: one who has an IPv6 address has a network of them.
func place(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // an invalid address has the invalid place
	return p
}
