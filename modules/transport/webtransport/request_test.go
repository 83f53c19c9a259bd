// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"
)

// Browsers of all drafts find what they look for: the settings, the protocol's
// name, and the hashes of the certificates.
func TestDrafts(t *testing.T) {
	_, server := pair(t, `{}`)
	for _, protocol := range []string{"webtransport", "webtransport-h3"} {
		c := newRawClient(t, server)
		session := c.session(t, protocol)
		<-c.h3.ReceivedSettings()
		settings := c.h3.Settings()
		for _, id := range []uint64{
			0x2b603742, // ENABLE_WEBTRANSPORT, to draft 6
			0x14e9cd29, // WT_MAX_SESSIONS, to draft 14
			0x2c7cf000, // WT_ENABLED, from draft 15
		} {
			if settings.Other[id] == 0 {
				t.Errorf("%s: setting %#x is not sent", protocol, id)
			}
		}
		if !settings.EnableDatagrams || !settings.EnableExtendedConnect {
			t.Errorf("%s: settings %+v", protocol, settings)
		}
		told := c.identify(t, server, session.StreamID()).RemoteCertHashes()
		if want := mustAt(t, server.rotation, time.Now()).hashes; !slices.EqualFunc(told, want[:], bytes.Equal) {
			t.Errorf("%s: hashes %x, want %x", protocol, told, want)
		}
		s := c.stream(t, session.StreamID())
		io.WriteString(s, "hello")
		s.Close()
		if got, err := io.ReadAll(s); string(got) != "hello" || err != nil {
			t.Errorf("%s: %q comes back, %v", protocol, got, err)
		}
	}
}

func TestWanted(t *testing.T) {
	for _, c := range []struct {
		method, protocol, target string
		want                     bool
	}{
		{"CONNECT", "webtransport", path + "?type=noise", true},
		{"CONNECT", "webtransport-h3", path + "?type=noise&future=1", true},
		{"GET", "HTTP/3.0", path + "?type=noise", false},
		{"CONNECT", "websocket", path + "?type=noise", false},
		{"CONNECT", "webtransport", path, false},
		{"CONNECT", "webtransport", path + "?type=tls", false},
		{"CONNECT", "webtransport", path + "?type=noise&type=noise", false},
		{"CONNECT", "webtransport", path + "?type=noise;x=%zz", false},
		{"CONNECT", "webtransport", path + "/?type=noise", false},
		{"CONNECT", "webtransport", "/?type=noise", false},
	} {
		u, err := url.Parse("https://192.0.2.1" + c.target)
		if err != nil {
			t.Fatal(err)
		}
		if got := wanted(&http.Request{Method: c.method, Proto: c.protocol, URL: u}); got != c.want {
			t.Errorf("%s %s %s: %v", c.method, c.protocol, c.target, got)
		}
	}
}

// FuzzWanted reads requests as clients send them: only one path is served.
func FuzzWanted(f *testing.F) {
	f.Add("CONNECT", "webtransport", path+"?type=noise")
	f.Add("CONNECT", "webtransport-h3", path+"?type=%6eoise")
	f.Add("GET", "HTTP/3.0", "/")
	f.Add("CONNECT", "webtransport", path+"?type=noise;%zz&&=")
	f.Fuzz(func(t *testing.T, method, protocol, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &http.Request{Method: method, Proto: protocol, URL: u}
		if wanted(r) && (method != "CONNECT" || u.Path != path || !slices.Equal(u.Query()["type"], []string{"noise"})) {
			t.Errorf("%s %s %s is served", method, protocol, target)
		}
	})
}
