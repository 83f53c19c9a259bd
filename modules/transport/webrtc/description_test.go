// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"errors"
	"flag"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestDescription(t *testing.T) {
	d := testExchange(true).local
	d.setup = actpass
	text := d.marshal(1)
	got, err := parseDescription(text)
	if err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("%+v, %v, want %+v", got, err, d)
	}
	replaced := func(before, after string) string {
		s := strings.Replace(text, before, after, 1)
		if s == text {
			t.Fatalf("no %q", before)
		}
		return s
	}
	print := "a=fingerprint:sha-256 " + d.fingerprints[0].String()
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"bare newlines":          {strings.ReplaceAll(text, "\r\n", "\n"), true},
		"fingerprint on top":     {print + "\r\n" + replaced(print+"\r\n", ""), true},
		"sha-512 beside":         {replaced(print, "a=fingerprint:sha-512 AA:BB\r\n"+print), true},
		"lower case":             {replaced(print, strings.ToLower(print)), true},
		"DTLS/SCTP":              {replaced("UDP/DTLS/SCTP", "DTLS/SCTP"), true},
		"large messages":         {replaced("max-message-size:16384", "max-message-size:262144"), true},
		"any size":               {replaced("max-message-size:16384", "max-message-size:0"), true},
		"empty":                  {"", false},
		"no section":             {strings.Split(text, "m=")[0], false},
		"audio":                  {replaced("m=application", "m=audio"), false},
		"audio too":              {text + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", false},
		"turned down":            {replaced("m=application 9", "m=application 0"), false},
		"only sha-1":             {replaced("sha-256", "sha-1"), false},
		"short fingerprint":      {replaced(print, "a=fingerprint:sha-256 AA:BB"), false},
		"no fingerprint":         {replaced(print+"\r\n", ""), false},
		"no setup":               {replaced("a=setup:actpass\r\n", ""), false},
		"holdconn":               {replaced("setup:actpass", "setup:holdconn"), false},
		"short ufrag":            {replaced("ufrag:offe", "ufrag:o"), false},
		"strange ufrag":          {replaced("ufrag:offe", "ufrag:of:e"), false},
		"short password":         {replaced("pwd:", "pwd:x\r\na=ice-pwd:"), true}, // the last one counts
		"no password":            {replaced("a=ice-pwd:", "a=ice-pw:"), false},
		"other SCTP port":        {replaced("sctp-port:5000", "sctp-port:6000"), false},
		"messages are too short": {replaced("max-message-size:16384", "max-message-size:1200"), false},
		"no line":                {"nonsense\r\n" + text, false},
		"too many lines":         {strings.Repeat("a=x\r\n", maxLines) + text, false},
	} {
		if _, err := parseDescription(c.text); (err == nil) != c.ok || err != nil && !errors.Is(err, errDescription) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDescription(f *testing.F) {
	f.Add(theirs(true, active) + "a=candidate:" + hostCandidate + "\r\na=ice-lite\r\n")
	f.Add("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDescription(text)
		if err != nil {
			return
		}
		if len(d.candidates) > maxCandidates || len(d.fingerprints) > maxFingerprints {
			t.Fatalf("%d candidates, %d fingerprints", len(d.candidates), len(d.fingerprints))
		}
		again, err := parseDescription(d.marshal(1))
		d.candidates, d.lite = nil, false
		if err != nil || !reflect.DeepEqual(again, d) {
			t.Fatalf("%+v becomes %+v, %v", d, again, err)
		}
	})
}
