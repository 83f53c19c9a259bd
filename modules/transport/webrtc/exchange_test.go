// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testExchange has credentials and a certificate that are always the same.
func testExchange(offerer bool) *exchange {
	name := map[bool]string{true: "offerer", false: "answerer"}[offerer]
	return &exchange{offerer: offerer, session: 1, local: description{
		fragment: name[:4], password: strings.Repeat(name[:4], 6), mid: "0",
		fingerprints: []fingerprint{{0xab, 0xcd, 1}},
	}}
}

// theirs is the description of the side that testExchange(offerer) speaks with.
func theirs(offerer bool, s setup) string {
	d := testExchange(!offerer).local
	d.setup = s
	return d.marshal(2)
}

const hostCandidate = "1 1 udp 2130706431 192.0.2.1 4001 typ host"

func message3(k kind, data string) event { return received{message{k, data}} }

// trace writes what an exchange does with events.
func trace(x *exchange, events ...event) string {
	var b bytes.Buffer
	for _, e := range events {
		switch e := e.(type) {
		case received:
			fmt.Fprintf(&b, "> %s %.60q\n", e.message.kind, e.message.data)
		case hushed:
			fmt.Fprintf(&b, "> hushed %v\n", e.err)
		case failed:
			fmt.Fprintf(&b, "> failed %v\n", e.err)
		default:
			fmt.Fprintf(&b, "> %s %v\n", strings.TrimPrefix(fmt.Sprintf("%T", e), "webrtc."), e)
		}
		for _, a := range x.step(e) {
			switch a := a.(type) {
			case say:
				fmt.Fprintf(&b, "  say %s\n", a.message.kind)
				for line := range strings.Lines(a.message.data) {
					fmt.Fprintf(&b, "    %s\n", strings.TrimRight(line, "\r\n"))
				}
			case start:
				fmt.Fprintf(&b, "  start %s controlling=%t client=%t\n", a.remote.fragment, x.controlling(), x.client())
			case try:
				fmt.Fprintf(&b, "  try %s\n", a.candidate)
			case finish:
				fmt.Fprintf(&b, "  finish %v\n", a.err)
			}
		}
	}
	return b.String()
}

func TestExchangeGolden(t *testing.T) {
	json := func(c string) string { return encodeCandidate(c, "0", "abcd") }
	for _, c := range []struct {
		name    string
		offerer bool
		events  []event
	}{
		{"offerer", true, []event{
			begun{}, found{hostCandidate}, message3(sdpAnswer, theirs(true, active)),
			message3(iceCandidate, json(hostCandidate)), message3(iceCandidate, "null"), found{hostCandidate}, connected{},
			found{hostCandidate},
		}},
		{"answerer", false, []event{
			begun{}, found{hostCandidate}, message3(sdpOffer, theirs(false, actpass)+"a=candidate:"+hostCandidate+"\r\n"),
			message3(iceCandidate, `""`), message3(iceCandidate, `{"candidate":""}`), message3(3, "ICE_DONE"),
			found{hostCandidate}, hushed{io.EOF}, connected{},
		}},
		{"offerer as the DTLS client", true, []event{begun{}, message3(sdpAnswer, theirs(true, passive)), failed{errUnreachable}}},
		{"answerer as the DTLS server", false, []event{begun{}, message3(sdpOffer, theirs(false, active)), connected{}}},
		{"lite offerer", false, []event{begun{}, message3(sdpOffer, "a=ice-lite\r\n"+theirs(false, actpass)), connected{}}},
		{"candidates before the answer", true, []event{
			begun{}, message3(iceCandidate, json(hostCandidate)), message3(sdpAnswer, theirs(true, active)), connected{},
		}},
		{"two answers", true, []event{begun{}, message3(sdpAnswer, theirs(true, active)), message3(sdpAnswer, theirs(true, active))}},
		{"an offer for an offer", true, []event{begun{}, message3(sdpOffer, theirs(true, actpass))}},
		{"an answer that is open", true, []event{begun{}, message3(sdpAnswer, theirs(true, actpass))}},
		{"a candidate first", false, []event{begun{}, message3(iceCandidate, json(hostCandidate))}},
		{"gone before the answer", true, []event{begun{}, hushed{io.EOF}}},
		{"no JSON", true, []event{begun{}, message3(iceCandidate, "candidate:"+hostCandidate)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := trace(testExchange(c.offerer), c.events...)
			path := filepath.Join("testdata", "exchange", strings.ReplaceAll(c.name, " ", "-")+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// A remote that trickles without end is cut off, and what it may make this side
// keep and try is bounded.
func TestEvil_B2_EndlessCandidates(t *testing.T) {
	x := testExchange(true)
	x.step(begun{})
	tries, steps := 0, 0
	var end error
	for end == nil {
		steps++
		for _, a := range x.step(message3(iceCandidate, encodeCandidate(hostCandidate, "0", "abcd"))) {
			switch a := a.(type) {
			case try:
				tries++
			case finish:
				end = a.err
			}
		}
	}
	if tries != maxCandidates || steps != maxMessages+1 || !errors.Is(end, errOrder) {
		t.Errorf("%d candidates are tried, and %d messages read: %v", tries, steps, end)
	}
	x = testExchange(false)
	for range 1000 {
		x.step(found{hostCandidate})
	}
	if len(x.waiting) != maxCandidates {
		t.Errorf("%d candidates wait", len(x.waiting))
	}
}
