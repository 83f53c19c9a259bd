// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// Found is a line of the answer to a look-up: a peer, a value, or, where they
// were asked for, a step of the way.
type Found struct {
	Peer string `json:"peer,omitempty"`
	// Addrs are where the peer is, without /p2p.
	Addrs []string `json:"addrs,omitempty"`
	// Value is a record; in base64, as JSON has it.
	Value []byte      `json:"value,omitempty"`
	Step  *LookupStep `json:"step,omitempty"`
}

// FoundPeer makes a line of a peer.
func FoundPeer(p peer.AddrInfo) Found {
	return Found{Peer: p.ID.String(), Addrs: texts(p.Addrs, "")}
}

// LookupStep is a request of a look-up, once when it is sent and once when it has
// ended.
type LookupStep struct {
	Protocol string `json:"protocol"`
	Peer     string `json:"peer"`
	// Request is its type, such as "FIND_NODE".
	Request string `json:"request"`
	// Near is how many leading bits the peer's place shares with the target's.
	Near int `json:"near"`
	// At is when it was sent, counted from the look-up's start.
	At   time.Duration `json:"at_ns"`
	Done bool          `json:"done"`
	Took time.Duration `json:"took_ns,omitempty"`
	// Heard is how many peers the answer named, New how many of them were new,
	// Results how many providers or records it had.
	Heard   int    `json:"heard,omitempty"`
	New     int    `json:"new,omitempty"`
	Results int    `json:"results,omitempty"`
	Error   string `json:"error,omitempty"`
}

// FoundStep makes a line of a step.
func FoundStep(s core.LookupStep) Found {
	step := &LookupStep{
		Protocol: wire.Text(s.Protocol, maxName), Peer: s.Peer.String(), Request: wire.Text(s.Request, maxName),
		Near: s.Near, At: s.At, Done: s.Done, Took: s.Took, Heard: s.Heard, New: s.New, Results: s.Found,
	}
	if s.Err != nil {
		step.Error = wire.Text(s.Err.Error(), maxText)
	}
	return Found{Step: step}
}

// Crawled is a peer that a crawl came by.
type Crawled struct {
	Peer  string   `json:"peer"`
	Addrs []string `json:"addrs"`
	Agent string   `json:"agent,omitempty"`
	// Knows are the peers that it named.
	Knows []string      `json:"knows"`
	Took  time.Duration `json:"took_ns"`
	// Error says why it could not be asked.
	Error string `json:"error,omitempty"`
}

// CrawledPeer makes a line of a peer that a crawl came by.
func CrawledPeer(p core.CrawledPeer) Crawled {
	c := Crawled{
		Peer: p.ID.String(), Addrs: texts(p.Addrs, ""), Agent: wire.Text(p.Agent, maxName),
		Knows: make([]string, 0, len(p.Knows)), Took: p.Took,
	}
	for _, id := range p.Knows {
		c.Knows = append(c.Knows, id.String())
	}
	if p.Err != nil {
		c.Error = wire.Text(p.Err.Error(), maxText)
	}
	return c
}

// maxCID bounds the text of a CID, in bytes.
const maxCID = 1024

// ContentKey reads the text of a CID, in any form, with or without /ipfs/ before
// it, and returns the key that its content is found with.
func ContentKey(text string) ([]byte, error) {
	bare := strings.TrimPrefix(text, "/ipfs/")
	if len(bare) > maxCID {
		return nil, fmt.Errorf("a CID of %d bytes: the most is %d", len(bare), maxCID)
	}
	id, err := cid.Decode(bare)
	if err != nil {
		return nil, fmt.Errorf("%q is no CID: %w; an example is bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e", wire.Text(text, maxName), err)
	}
	key := []byte(id.Hash())
	if len(key) > core.MaxContentKey {
		return nil, fmt.Errorf("%s: its hash has %d bytes: the most that can be looked up is %d", wire.Text(text, maxName), len(key), core.MaxContentKey)
	}
	return key, nil
}

// QueryKey reads what there are closest peers of: a peer ID or a CID.
func QueryKey(text string) ([]byte, error) {
	if id, err := peer.Decode(text); err == nil {
		return id.Bytes(), nil
	}
	key, err := ContentKey(text)
	if err != nil {
		return nil, fmt.Errorf("neither a peer ID nor a CID: %w", err)
	}
	return key, nil
}

// ErrNoDHT means that no module of the node is part of a DHT.
var ErrNoDHT = errors.New("the node runs no DHT: add one to routing, such as kad")
