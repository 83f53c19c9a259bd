// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package resolve turns DNS multiaddrs into those that can be dialled:
// /dns, /dns4 and /dns6 by looking up the host, /dnsaddr by TXT records
// (https://github.com/multiformats/multiaddr/blob/master/protocols/DNSADDR.md).
//
// A /dnsaddr with something behind the name yields the entries that end in
// just that, as the specification demands. The wanted peer counts as less than
// a written suffix: entries that name another peer are dropped, those that
// name none are kept, since the handshake proves who is there.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// The limits of one call of Resolve.
const (
	maxDepth   = 4   // /dnsaddr within /dnsaddr
	maxResults = 100 // resolved addresses
	maxQueries = 32  // lookups
	maxEntries = 100 // TXT records, or hosts, of one answer
	parallel   = 8   // lookups at one time

	totalTime = 10 * time.Second
	queryTime = 5 * time.Second // of one lookup
)

// Errors that a [core.DialResolution] shows.
var (
	ErrName    = errors.New("not a DNS name")
	ErrDepth   = fmt.Errorf("more than %d /dnsaddr within each other", maxDepth)
	ErrQueries = fmt.Errorf("more than %d lookups", maxQueries)
	ErrResults = fmt.Errorf("%d addresses are enough; the rest is left out", maxResults)
	ErrNothing = errors.New("no usable address in the answer")
)

// Backend asks the DNS; a [*net.Resolver] does.
type Backend interface {
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Resolver resolves DNS multiaddrs. It keeps nothing between calls.
type Resolver struct {
	backend Backend
}

// New returns a resolver that asks b; nil means [net.DefaultResolver].
func New(b Backend) *Resolver {
	if b == nil {
		b = net.DefaultResolver
	}
	return &Resolver{backend: b}
}

// Resolve returns the addresses with the DNS ones among them replaced by what
// they stand for, as addresses of want, without its /p2p at the end. It asks
// for at most ten seconds, and calls record, if that is not nil, once for each
// address it looked up. An empty want stands for any peer: then a /p2p stays.
// Addresses that need no DNS are passed on as they are.
func (r *Resolver) Resolve(ctx context.Context, addrs []ma.Multiaddr, want peer.ID, record func(core.DialResolution)) []ma.Multiaddr {
	if !slices.ContainsFunc(addrs, isDNS) {
		return addrs
	}
	ctx, cancel := context.WithTimeout(ctx, totalTime)
	defer cancel()
	l := &lookup{backend: r.backend, record: record, answers: make(map[query]*answer), seen: make(map[string]bool)}
	roots := make([]*node, 0, len(addrs))
	level := make([]*node, 0, len(addrs))
	for _, a := range addrs {
		if !isDNS(a) {
			roots = append(roots, &node{head: a})
			continue
		}
		n, err := newNode(a, want)
		if err != nil {
			l.report(core.DialResolution{Addr: a, Err: err})
			continue
		}
		if l.first(n) {
			roots = append(roots, n)
			level = append(level, n)
		}
	}
	for depth := 1; len(level) > 0 && l.results < maxResults; depth++ {
		level = l.expand(ctx, level, depth)
	}
	return collect(roots)
}

// lookup is the state of one call of Resolve. One goroutine owns it; those that
// wait for the DNS write to their answer alone.
type lookup struct {
	backend Backend
	record  func(core.DialResolution)
	answers map[query]*answer // at most maxQueries
	seen    map[string]bool   // nodes: at most maxQueries*maxEntries, maxResults, and the given ones
	results int               // leaves; at most maxResults
}

func (l *lookup) report(res core.DialResolution) {
	if l.record != nil {
		l.record(res)
	}
}

// first tells whether n was not met before.
func (l *lookup) first(n *node) bool {
	key := string(n.head.Bytes()) + "\x00" + string(n.suffix.Bytes())
	if l.seen[key] {
		return false
	}
	l.seen[key] = true
	return true
}

// expand looks up one level of the tree and returns the next one.
func (l *lookup) expand(ctx context.Context, level []*node, depth int) []*node {
	l.ask(ctx, level, depth)
	var next []*node
	for _, n := range level {
		q := n.query()
		a := l.answers[q]
		if a == nil || tooDeep(q, depth) || l.results == maxResults {
			continue // ask, or what follows, has said why
		}
		res := core.DialResolution{Addr: n.whole(), Took: a.took, Err: a.err}
		for _, child := range n.children(a) {
			if !l.first(child) {
				continue
			}
			if isDNS(child.head) {
				next = append(next, child)
			} else if l.results++; l.results == maxResults {
				res.Err = ErrResults
			}
			n.found = append(n.found, child)
			res.Found = append(res.Found, child.whole())
			if l.results == maxResults {
				break
			}
		}
		if res.Err == nil && len(res.Found) == 0 {
			res.Err = ErrNothing
		}
		l.report(res)
	}
	return next
}

func tooDeep(q query, depth int) bool { return q.txt && depth > maxDepth }

// ask sends the queries of a level, each once, and waits for the answers. What
// is beyond the limits stays without one; that is reported once a level.
func (l *lookup) ask(ctx context.Context, level []*node, depth int) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, parallel)
	var saidDepth, saidQueries bool
	for _, n := range level {
		q := n.query()
		var err error
		switch {
		case tooDeep(q, depth):
			if !saidDepth {
				err = ErrDepth
			}
			saidDepth = true
		case l.answers[q] != nil:
		case len(l.answers) >= maxQueries:
			if !saidQueries {
				err = ErrQueries
			}
			saidQueries = true
		default:
			a := new(answer)
			l.answers[q] = a
			if a.err = checkName(q.name); a.err != nil {
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				a.get(ctx, l.backend, q)
			})
		}
		if err != nil {
			l.report(core.DialResolution{Addr: n.whole(), Err: err})
		}
	}
}

// collect lists the leaves of the tree in order, each once.
func collect(roots []*node) []ma.Multiaddr {
	var out []ma.Multiaddr
	known := make(map[string]bool)
	var walk func(n *node)
	walk = func(n *node) {
		for _, child := range n.found {
			walk(child)
		}
		if a := n.whole(); !isDNS(a) && !known[string(a.Bytes())] {
			known[string(a.Bytes())] = true
			out = append(out, a)
		}
	}
	for _, n := range roots {
		walk(n)
	}
	return out
}
