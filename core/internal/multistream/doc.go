// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package multistream agrees on a protocol for a stream or a connection, with
// multistream-select 1.0 (https://github.com/libp2p/specs/tree/master/connections#multistream-select).
//
// The side that dials sends the header "/multistream/1.0.0" and proposes
// protocols, the other side sends the header back and answers each proposal
// with "na" or with the same name. Every message is a line: its length as an
// unsigned varint, text, and a newline that the length includes.
//
// Negotiation costs no round trip and no frame of its own where it need not:
// who proposes a single protocol sends it in front of its first data, and the
// answer travels in front of the other side's first data. See [Stream].
package multistream

import "errors"

const (
	// header is the first line of each side, as it stands on the wire.
	header = "\x13/multistream/1.0.0\n"
	// refusal and list are the two words that are no protocol names.
	refusal = "na"
	list    = "ls"

	// maxLine bounds a line, in bytes, with the newline.
	maxLine = 1024
	// maxTries bounds the proposals that one stream may bring.
	maxTries = 16
	// maxShown bounds what an error shows of the remote's bytes.
	maxShown = 64
)

var (
	// ErrMalformed says that the remote sent something that is not
	// multistream-select, or an answer to something that was not asked.
	ErrMalformed = errors.New("malformed negotiation")

	// ErrTooManyTries says that the remote proposed more protocols than it
	// may without naming one that is served.
	ErrTooManyTries = errors.New("too many proposals")
)
