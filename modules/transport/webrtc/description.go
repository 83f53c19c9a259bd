// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/transport/internal/dtlslink"
)

const (
	// maxLines bounds the lines of a description that are read.
	maxLines = 512
	// maxFingerprints bounds those of one description.
	maxFingerprints = 8
	// sctpPort is the only one in use.
	sctpPort = "5000"
	// maxMessageSize is how long a message on a data channel may be, in bytes:
	// as long as the frames of libp2p.
	maxMessageSize = 16 << 10
)

// The lengths that ICE allows, RFC 8839.
const (
	minFragment, maxFragment = 4, 256
	minPassword, maxPassword = 22, 256
)

// setup is which side of the DTLS handshake a description takes.
type setup string

// The sides. An offer leaves it to the answer.
const (
	actpass setup = "actpass"
	active  setup = "active"  // the client
	passive setup = "passive" // the server
)

// fingerprint is the SHA-256 of a certificate.
type fingerprint [dtlslink.HashSize]byte

// description is what one side says of itself in SDP, as far as it matters for
// data channels: RFC 8839, RFC 8841 and RFC 8842.
type description struct {
	fragment, password string
	fingerprints       []fingerprint // at most maxFingerprints
	setup              setup
	lite               bool
	candidates         []string // at most maxCandidates; the value of the attribute
	mid                string
}

// errDescription means that a description is not one of a data channel that can
// be had.
var errDescription = errors.New("unusable description")

// marshal writes the description of a side that trickles its candidates.
func (d description) marshal(session uint64) string {
	var b strings.Builder
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, format, args...)
		b.WriteString("\r\n")
	}
	line("v=0")
	line("o=- %d 2 IN IP4 127.0.0.1", session)
	line("s=-")
	line("t=0 0")
	line("a=group:BUNDLE %s", d.mid)
	line("a=ice-options:trickle")
	line("m=application 9 UDP/DTLS/SCTP webrtc-datachannel")
	line("c=IN IP4 0.0.0.0")
	line("a=mid:%s", d.mid)
	line("a=ice-ufrag:%s", d.fragment)
	line("a=ice-pwd:%s", d.password)
	for _, f := range d.fingerprints {
		line("a=fingerprint:sha-256 %s", f)
	}
	line("a=setup:%s", d.setup)
	line("a=sctp-port:%s", sctpPort)
	line("a=max-message-size:%d", maxMessageSize)
	return b.String()
}

// String writes a fingerprint as SDP has it.
func (f fingerprint) String() string {
	parts := make([]string, len(f))
	for i, b := range f {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

// parseDescription reads SDP with one section for data channels, and nothing
// else. What is not needed for them is passed over.
func parseDescription(text string) (d description, err error) {
	p := parser{d: description{mid: "0"}}
	n := 0
	for line := range strings.Lines(text) {
		if n++; n > maxLines {
			return d, fmt.Errorf("%w: more than %d lines", errDescription, maxLines)
		}
		if err := p.line(strings.TrimRight(line, "\r\n")); err != nil {
			return d, fmt.Errorf("%w: %w", errDescription, err)
		}
	}
	if err := p.end(); err != nil {
		return d, fmt.Errorf("%w: %w", errDescription, err)
	}
	return p.d, nil
}

// parser reads a description line by line. What stands above the section is for
// it too, unless the section has its own.
type parser struct {
	d       description
	section bool
	port    string
}

func (p *parser) line(line string) error {
	name, value, ok := strings.Cut(line, "=")
	if line == "" {
		return nil
	}
	if !ok || len(name) != 1 {
		return fmt.Errorf("a line without a type: %q", wire.Text(line, 40))
	}
	switch name {
	case "m":
		return p.media(value)
	case "a":
		name, value, _ := strings.Cut(value, ":")
		return p.attribute(name, value)
	}
	return nil
}

func (p *parser) media(value string) error {
	if p.section {
		return errors.New("more than one section")
	}
	p.section = true
	f := strings.Fields(value)
	switch {
	case len(f) != 4 || f[0] != "application" || f[2] != "UDP/DTLS/SCTP" && f[2] != "DTLS/SCTP" || f[3] != "webrtc-datachannel":
		return fmt.Errorf("a section that is not for data channels: %q", wire.Text(value, 80))
	case f[1] == "0":
		return errors.New("the data channels are turned down")
	}
	return nil
}

func (p *parser) attribute(name, value string) error {
	switch name {
	case "ice-ufrag":
		p.d.fragment = value
	case "ice-pwd":
		p.d.password = value
	case "ice-lite":
		p.d.lite = true
	case "setup":
		p.d.setup = setup(value)
	case "sctp-port":
		p.port = value
	case "mid":
		if !isToken(value) {
			return fmt.Errorf("mid %q", wire.Text(value, 40))
		}
		p.d.mid = value
	case "max-message-size":
		// 0 is any size, as is none at all.
		if n, err := strconv.ParseUint(value, 10, 64); err != nil || n > 0 && n < maxMessageSize {
			return fmt.Errorf("max-message-size %q; frames have up to %d bytes", wire.Text(value, 40), maxMessageSize)
		}
	case "fingerprint":
		return p.fingerprint(value)
	case "candidate":
		if len(p.d.candidates) < maxCandidates {
			p.d.candidates = append(p.d.candidates, value)
		}
	}
	return nil
}

// fingerprint takes one of SHA-256; those of other functions are of no use.
func (p *parser) fingerprint(value string) error {
	function, text, _ := strings.Cut(value, " ")
	if !strings.EqualFold(function, "sha-256") || len(p.d.fingerprints) >= maxFingerprints {
		return nil
	}
	b, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil || len(b) != dtlslink.HashSize || len(text) != 3*dtlslink.HashSize-1 {
		return fmt.Errorf("fingerprint %q", wire.Text(text, 100))
	}
	p.d.fingerprints = append(p.d.fingerprints, fingerprint(b))
	return nil
}

// end checks that everything is there.
func (p *parser) end() error {
	switch d := &p.d; {
	case !p.section:
		return errors.New("no section for data channels")
	case !isICE(d.fragment, minFragment, maxFragment):
		return errors.New("no ice-ufrag as ICE has it")
	case !isICE(d.password, minPassword, maxPassword):
		return errors.New("no ice-pwd as ICE has it")
	case len(d.fingerprints) == 0:
		return errors.New("no fingerprint of sha-256, which is the only hash supported")
	case p.port != "" && p.port != sctpPort:
		return fmt.Errorf("sctp-port %q, want %s", wire.Text(p.port, 40), sctpPort)
	case !slices.Contains([]setup{actpass, active, passive}, d.setup):
		return fmt.Errorf("setup %q", wire.Text(string(d.setup), 40))
	}
	return nil
}

// isICE tells whether s is of ICE's characters, and of a length within bounds.
// Browsers are known that have - and _ among theirs.
func isICE(s string, shortest, longest int) bool {
	return len(s) >= shortest && len(s) <= longest && !strings.ContainsFunc(s, func(r rune) bool {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("+/-_=", r):
			return false
		}
		return true
	})
}

// isToken tells whether s can be the name of a section.
func isToken(s string) bool { return isICE(s, 1, 64) }
