// SPDX-License-Identifier: Apache-2.0 OR MIT

package peers

import (
	"slices"
	"strings"
)

// Stack is what a connection is made of.
type Stack struct {
	Transport string `json:"transport"`
	Security  string `json:"security"`
	Muxer     string `json:"muxer"` // the transport itself if it is whole
	// Private is set inside a private network.
	Private bool `json:"private,omitempty"`
}

// webRTC is the transport on which two meet that neither can dial.
const webRTC = "webrtc"

// ThroughRelay tells whether a connection begins at a relay at which the server has
// a place.
func (s Stack) ThroughRelay() bool { return s.Transport == webRTC }

// Whole tells whether the transport secures and multiplexes by itself.
func (s Stack) Whole() bool { return s.Muxer == s.Transport }

// String returns the stack as tcp+noise+yamux, or as quic if it is whole.
func (s Stack) String() string {
	switch {
	case s.Whole():
		return s.Transport
	case s.Private:
		return s.Transport + "+pnet+" + s.Security + "+" + s.Muxer
	}
	return s.Transport + "+" + s.Security + "+" + s.Muxer
}

// Flags are the command line's words for the stack, without the private
// network's key.
func (s Stack) Flags() []string {
	if s.Whole() {
		return []string{"--transport", s.Transport}
	}
	return []string{"--transport", s.Transport, "--security", s.Security, "--muxer", s.Muxer}
}

// stacks returns every combination of transports, securities and muxers, each
// list one of words.
func stacks(transports, securities, muxers string) []Stack {
	var list []Stack
	for t := range strings.FieldsSeq(transports) {
		for s := range strings.FieldsSeq(securities) {
			for m := range strings.FieldsSeq(muxers) {
				list = append(list, Stack{Transport: t, Security: s, Muxer: m})
			}
		}
	}
	return list
}

// whole returns the stacks of transports that secure and multiplex by themselves.
func whole(transports ...string) []Stack {
	var list []Stack
	for _, t := range transports {
		security := "noise"
		switch t {
		case "quic":
			security = "tls"
		case webRTC:
			security = "dtls"
		}
		list = append(list, Stack{Transport: t, Security: security, Muxer: t})
	}
	return list
}

// private is [stacks] inside a private network.
func private(transports, securities, muxers string) []Stack {
	list := stacks(transports, securities, muxers)
	for i := range list {
		list[i].Private = true
	}
	return list
}

// Common lists the stacks that two peers both speak.
func Common(a, b Peer) []Stack {
	var list []Stack
	for _, s := range a.Stacks {
		if slices.Contains(b.Stacks, s) {
			list = append(list, s)
		}
	}
	return list
}
