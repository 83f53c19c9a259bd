// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package identify tells peers who we are and learns who they are: identify
// and identify push
// (https://github.com/libp2p/specs/blob/master/identify/README.md).
//
// # The message
//
// A protobuf message with these fields, in any order:
//
//	1  publicKey         bytes            the key message of the peer ID specification
//	2  listenAddrs       repeated bytes   binary multiaddrs, without /p2p
//	3  protocols         repeated string
//	4  observedAddr      bytes            the reader's address as the writer sees it
//	5  protocolVersion   string           such as ipfs/0.1.0
//	6  agentVersion      string
//	8  signedPeerRecord  bytes            an envelope; not in the specification's text, but everywhere
//
// It stands on the stream behind its length as a varint. What does not fit
// into 4 KiB, the most that some implementations read, goes into further
// messages on the same stream, which the reader merges: lists grow, single
// values are replaced. Our first message has everything but the signed record
// if the record does not fit; readers that stop after one message lose nothing
// else. The sender closes the stream behind the last one.
package identify

import (
	"bufio"
	"fmt"
	"io"
	"slices"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/internal/peerstore"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// The protocols.
const (
	ID     = "/ipfs/id/1.0.0"
	PushID = "/ipfs/id/push/1.0.0"
)

// What a peer may say, on one stream.
const (
	maxMessages  = 10
	maxMessage   = 8 << 10  // bytes of one message
	maxTotal     = 64 << 10 // bytes of all messages
	maxProtocols = 1024
	maxAddrs     = 500
)

const (
	fieldPublicKey       protowire.Number = 1
	fieldListenAddrs     protowire.Number = 2
	fieldProtocols       protowire.Number = 3
	fieldObservedAddr    protowire.Number = 4
	fieldProtocolVersion protowire.Number = 5
	fieldAgentVersion    protowire.Number = 6
	fieldSignedRecord    protowire.Number = 8
)

// message is what a peer said.
type message struct {
	publicKey []byte
	addrs     []ma.Multiaddr // each once, without those that are not understood
	protocols []string       // sorted, each once
	observed  ma.Multiaddr   // nil if there is none that is understood
	version   string
	agent     string
	record    []byte
}

// readMessage reads and merges what is on a stream, to its end.
func readMessage(r io.Reader) (*message, error) {
	br := bufio.NewReaderSize(r, 1024)
	d := newDecoder()
	left := maxTotal
	for n := 0; ; n++ {
		b, err := wire.ReadMessage(br, min(left, maxMessage))
		if err == io.EOF && n > 0 {
			return d.finish(), nil
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		if n == maxMessages {
			return nil, fmt.Errorf("more than %d messages: %w", maxMessages, wire.ErrTooMany)
		}
		left -= len(b)
		if err := d.decode(b); err != nil {
			return nil, err
		}
	}
}

// decoder merges messages under the limits of one stream.
type decoder struct {
	message

	protocolsLeft, addrsLeft wire.Quota

	known map[string]bool // the addresses, in their binary form
}

func newDecoder() *decoder {
	return &decoder{protocolsLeft: maxProtocols, addrsLeft: maxAddrs, known: make(map[string]bool)}
}

// decode adds one message. The result shares no memory with b but the key and
// the record.
func (d *decoder) decode(b []byte) error {
	for f, err := range wire.Fields(b) {
		if err != nil {
			return err
		}
		switch f.Num {
		case fieldPublicKey, fieldListenAddrs, fieldProtocols, fieldObservedAddr,
			fieldProtocolVersion, fieldAgentVersion, fieldSignedRecord:
			v, err := f.Bytes()
			if err == nil {
				err = d.set(f.Num, v)
			}
			if err != nil {
				return fmt.Errorf("field %d: %w", f.Num, err)
			}
		}
	}
	return nil
}

func (d *decoder) set(num protowire.Number, v []byte) error {
	switch num {
	case fieldPublicKey:
		d.publicKey = v
	case fieldListenAddrs:
		if err := d.addrsLeft.Take(); err != nil {
			return err
		}
		if addr, err := peer.DecodeAddr(v); err == nil && !d.known[string(v)] {
			d.known[string(v)] = true
			d.addrs = append(d.addrs, addr)
		}
	case fieldProtocols:
		if err := d.protocolsLeft.Take(); err != nil {
			return err
		}
		d.protocols = append(d.protocols, string(v))
	case fieldObservedAddr:
		d.observed = nil
		if addr, err := peer.DecodeAddr(v); err == nil {
			d.observed, _ = peer.SplitAddr(peerstore.Normalize(addr))
		}
	case fieldProtocolVersion:
		d.version = string(v)
	case fieldAgentVersion:
		d.agent = string(v)
	case fieldSignedRecord:
		d.record = v
	}
	return nil
}

func (d *decoder) finish() *message {
	slices.Sort(d.protocols)
	d.protocols = slices.Compact(d.protocols)
	return &d.message
}

// appendField appends a field, or nothing if it is empty.
func appendField(b []byte, num protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendBytes(b, v)
}
