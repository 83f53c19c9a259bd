// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

// goodRequest is what a browser sends, more or less.
const goodRequest = "GET /x HTTP/1.1\r\nHost: example.com\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
	"Origin: https://example.org\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Protocol: chat\r\n\r\n"

// wire is a connection on which everything has been said already.
type wire struct {
	io.Reader
	bytes.Buffer
}

func (w *wire) Read(p []byte) (int, error) { return w.Reader.Read(p) }

func TestRequest(t *testing.T) {
	without := func(old, with string) string { return strings.Replace(goodRequest, old, with, 1) }
	many := strings.Repeat("X-A: b\r\n", 100)
	for name, tc := range map[string]struct {
		request string
		path    string
		status  int // 0 if there is no answer
	}{
		"good":              {request: goodRequest, status: 101},
		"path":              {request: goodRequest, path: "/x", status: 101},
		"with a query":      {request: without("/x", "/x?a=b"), path: "/x", status: 101},
		"absolute":          {request: without("/x", "http://example.com/x"), path: "/x", status: 101},
		"escaped":           {request: without("/x", "/%78"), path: "/x", status: 101},
		"wrong path":        {request: goodRequest, path: "/y", status: 404},
		"plain page":        {request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", status: 426},
		"wrong page":        {request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", path: "/x", status: 404},
		"other upgrade":     {request: without("Upgrade: websocket", "Upgrade: h2c"), status: 426},
		"no upgrade":        {request: without("keep-alive, Upgrade", "keep-alive"), status: 426},
		"POST":              {request: without("GET", "POST"), status: 405},
		"HTTP/1.0":          {request: without("HTTP/1.1", "HTTP/1.0"), status: 505},
		"version 8":         {request: without("Version: 13", "Version: 8"), status: 426},
		"no key":            {request: without("Sec-WebSocket-Key", "X"), status: 400},
		"short key":         {request: without("dGhlIHNhbXBsZSBub25jZQ==", "dGhl"), status: 400},
		"key is not base64": {request: without("dGhlIHNhbXBsZSBub25jZQ==", "?"), status: 400},
		"two keys":          {request: without("Origin: https://example.org", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), status: 400},
		"body":              {request: without("Origin: https://example.org", "Content-Length: 4"), status: 400},
		"chunked body":      {request: without("Origin: https://example.org", "Transfer-Encoding: chunked"), status: 400},
		"no HTTP":           {request: "hello\r\n\r\n", status: 400},
		"HTTP/2":            {request: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status: 426},
		"many lines":        {request: without("Host", many+"Host"), status: 431},
		"long line":         {request: without("Host", "X: "+strings.Repeat("x", maxHead)+"\r\nHost"), status: 431},
		"cut off":           {request: goodRequest[:100]},
		"nothing":           {},
	} {
		for _, size := range []int{1, 1 << 20} {
			w := &wire{Reader: &chunks{[]byte(tc.request + "behind"), size}}
			if tc.status == 0 {
				w.Reader = &chunks{[]byte(tc.request), size}
			}
			r, rest, err := receiveRequest(w, tc.path)
			answer := w.Buffer.String()
			if tc.status == 0 {
				if err == nil || answer != "" {
					t.Errorf("%s: %v, answer %q", name, err, answer)
				}
				continue
			}
			want := fmt.Sprintf("HTTP/1.1 %d %s\r\n", tc.status, http.StatusText(tc.status))
			if !strings.HasPrefix(answer, want) || (err == nil) != (tc.status == 101) {
				t.Errorf("%s: %v, answer %q, want %q", name, err, answer, want)
			}
			if err == nil && !strings.Contains(answer, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") {
				t.Errorf("%s: %q", name, answer)
			}
			if err == nil && (r.Header.Get("Origin") == "" || size > 1 && string(rest) != "behind") {
				t.Errorf("%s: %v, rest %q", name, r.Header, rest)
			}
			if strings.Contains(answer, "permessage-deflate") || strings.Contains(answer, "Protocol:") {
				t.Errorf("%s: takes what it was offered: %q", name, answer)
			}
		}
	}
}

func TestResponse(t *testing.T) {
	to, err := parse(ma.StringCast("/ip4/192.0.2.1/tcp/81/ws/http-path/x"))
	if err != nil {
		t.Fatal(err)
	}
	const good = "HTTP/1.1 101 Whatever\r\nupgrade: WebSocket\r\nconnection: upgrade\r\nSec-WebSocket-Accept: KEY\r\n\r\nbehind"
	without := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	for name, tc := range map[string]struct{ response, wantErr string }{
		"good":          {response: good},
		"refused":       {response: "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", wantErr: "answers with status 403"},
		"no upgrade":    {response: without("WebSocket", "h2c"), wantErr: "another protocol"},
		"no connection": {response: without("connection: upgrade", "connection: close"), wantErr: "another protocol"},
		"wrong answer":  {response: without("KEY", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), wantErr: "not one to this request"},
		"extension":     {response: without("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"), wantErr: "not offered"},
		"protocol":      {response: without("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n"), wantErr: "not offered"},
		"long":          {response: without("\r\n\r\n", "\r\nX: "+strings.Repeat("x", maxHead)), wantErr: "more than 8192 bytes"},
		"no HTTP":       {response: "SSH-2.0-OpenSSH_9.2\r\n\r\n", wantErr: "response: malformed"},
		"cut off":       {response: good[:30], wantErr: "cut off"},
	} {
		w := &wire{}
		w.Reader = readerFunc(func(p []byte) (int, error) { // once the request is known
			_, key, _ := strings.Cut(w.Buffer.String(), "Sec-WebSocket-Key: ")
			key, _, _ = strings.Cut(key, "\r\n")
			w.Reader = strings.NewReader(strings.Replace(tc.response, "KEY", acceptOf(key), 1))
			return w.Reader.Read(p)
		})
		rest, err := sendRequest(w, &to)
		if request := w.Buffer.String(); !strings.HasPrefix(request, "GET /x HTTP/1.1\r\nHost: 192.0.2.1:81\r\n") {
			t.Errorf("%s: %q", name, request)
		}
		switch {
		case tc.wantErr == "" && (err != nil || string(rest) != "behind"):
			t.Errorf("%s: %q, %v", name, rest, err)
		case tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)):
			t.Errorf("%s: %v, want %q", name, err, tc.wantErr)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func FuzzRequest(f *testing.F) {
	f.Add([]byte(goodRequest), uint8(255))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint8(0))
	f.Add([]byte(strings.Replace(goodRequest, "Host", strings.Repeat("X: y\r\n", 64)+"Host", 1)), uint8(100))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		w := &wire{Reader: &chunks{b, int(size) + 1}}
		r, rest, err := receiveRequest(w, "")
		answer := w.Buffer.Bytes()
		if err == nil && (!bytes.HasPrefix(answer, []byte("HTTP/1.1 101 ")) || r.Method != http.MethodGet) {
			t.Errorf("%q is answered with %q", b, answer)
		}
		if len(rest) > maxHead || bytes.Count(answer, []byte("HTTP/1.1 ")) > 1 {
			t.Errorf("%q is answered with %q, %d bytes left", b, answer, len(rest))
		}
		if errors.Is(err, io.EOF) && len(b) > 0 {
			t.Errorf("%q ends in peace", b)
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		to := address{path: "/"}
		if _, err := sendRequest(&wire{Reader: bytes.NewReader(b)}, &to); err == nil {
			t.Errorf("%q answers a key that it has not seen", b)
		}
	})
}
