// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go/http3"

	"github.com/xnode-p2p/xnode/core"
)

// rotation knows which certificate is used when. Time is cut into periods, each
// with its own certificate; nothing has to happen for the next one to begin.
type rotation struct {
	seed   seed
	offset time.Duration

	mu      sync.Mutex
	current *generation // the one asked for last
}

// generation is what a server shows during one period.
type generation struct {
	from, until time.Time
	tls         *tls.Config
	// hashes are the multihashes of the certificates of this period, the next
	// and the last one. Addresses contain the first two; one that was told in
	// the last period contains the first and the third.
	hashes [3][]byte
	// suffix is the /certhash part of addresses.
	suffix ma.Multiaddr
}

func newRotation(s seed) (*rotation, error) {
	offset, err := s.offset()
	if err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	return &rotation{seed: s, offset: offset}, nil
}

// at returns the generation of a point in time.
func (r *rotation) at(now time.Time) (*generation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g := r.current; g != nil && !now.Before(g.from) && now.Before(g.until) {
		return g, nil
	}
	g, err := r.generate(r.start(now))
	if err != nil {
		return nil, err
	}
	r.current = g
	return g, nil
}

// start is when the period of a point in time has begun.
func (r *rotation) start(now time.Time) time.Time {
	seconds, shift := int64(period/time.Second), int64(r.offset/time.Second)
	return time.Unix((now.Unix()+shift)/seconds*seconds-shift, 0)
}

func (r *rotation) generate(start time.Time) (*generation, error) {
	g := &generation{from: start, until: start.Add(period)}
	for i, begin := range []time.Time{start, start.Add(period), start.Add(-period)} {
		cert, err := r.seed.certificate(begin)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			g.tls = &tls.Config{
				MinVersion:             tls.VersionTLS13,
				Certificates:           []tls.Certificate{*cert},
				NextProtos:             []string{http3.NextProtoH3},
				SessionTicketsDisabled: true, // and with them 0-RTT, which can be replayed
			}
		}
		g.hashes[i] = multihash(sha256.Sum256(cert.Certificate[0]))
	}
	var err error
	g.suffix, err = certHashes(g.hashes[0], g.hashes[1])
	return g, err
}

// serverTLS is what the handshake with a client uses.
func (r *rotation) serverTLS(*tls.ClientHelloInfo) (*tls.Config, error) {
	g, err := r.at(time.Now())
	if err != nil {
		return nil, err
	}
	return g.tls, nil
}

// longestSleep bounds how long a change goes unnoticed after the machine has
// slept or its clock has been set.
const longestSleep = time.Hour

// announceChanges tells the node each time that the certificates have changed,
// and the listeners' addresses with them, until ctx ends.
func announceChanges(ctx context.Context, r *rotation, events core.Events) {
	var told *generation
	for {
		sleep := longestSleep
		if g, err := r.at(time.Now()); err == nil {
			if told != nil && told != g {
				events.Emit(core.ListenersChanged{})
			}
			told = g
			sleep = min(sleep, time.Until(g.until))
		}
		select {
		case <-time.After(sleep):
		case <-ctx.Done():
			return
		}
	}
}
