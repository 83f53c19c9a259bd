// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// refusal is the answer to a request that does not lead to a WebSocket.
type refusal struct {
	status int
	why    string
}

// Error implements error.
func (r *refusal) Error() string {
	return fmt.Sprintf("request refused with status %d: %s", r.status, r.why)
}

// checkRequest tells what is wrong with a request for a WebSocket, or nil. The
// page that a browser is on, in Origin, does not matter: nothing is given to a
// connection before the peer behind it has proved who it is.
func checkRequest(r *http.Request) *refusal {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get(wsKey))
	switch {
	case !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket"):
		return &refusal{http.StatusUpgradeRequired, "this is a libp2p WebSocket"}
	case r.Method != http.MethodGet:
		return &refusal{http.StatusMethodNotAllowed, "a WebSocket begins with GET"}
	case !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1:
		return &refusal{http.StatusHTTPVersionNotSupported, "a WebSocket begins with HTTP/1.1"}
	case r.Header.Get(wsVersion) != version:
		return &refusal{http.StatusUpgradeRequired, "the version of a WebSocket is " + version}
	case len(r.Header[wsKey]) != 1 || err != nil || len(key) != 16:
		return &refusal{http.StatusBadRequest, "the key is not one of 16 bytes"}
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return &refusal{http.StatusBadRequest, "the request has a body"}
	}
	return nil
}

// receiveRequest reads a client's request from c and answers it. path is what it
// must ask for; empty means anything. What was read behind it is rest.
func receiveRequest(c io.ReadWriter, path string) (r *http.Request, rest []byte, err error) {
	head, rest, err := readHead(c)
	if err != nil {
		if errors.Is(err, errHeadSize) {
			(&refusal{http.StatusRequestHeaderFieldsTooLarge, errHeadSize.Error()}).send(c)
		}
		return nil, nil, err
	}
	r, err = http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		(&refusal{http.StatusBadRequest, "malformed"}).send(c)
		return nil, nil, fmt.Errorf("request: %w", err)
	}
	no := checkRequest(r)
	if path != "" && r.URL.Path != path {
		no = &refusal{http.StatusNotFound, "there is nothing here"}
	}
	if no != nil {
		no.send(c)
		return nil, nil, no
	}
	_, err = c.Write(switching(r))
	return r, rest, err
}

// switching is the response that lets the connection become a WebSocket.
func switching(r *http.Request) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 101 Switching Protocols\r\n"+
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", acceptOf(r.Header.Get(wsKey)))
}

// header is what the response says besides its status.
func (r *refusal) header() http.Header {
	h := http.Header{"Connection": {"close"}, "Content-Type": {"text/plain; charset=utf-8"}, "X-Content-Type-Options": {"nosniff"}}
	switch r.status {
	case http.StatusUpgradeRequired:
		h["Connection"] = []string{"close, upgrade"}
		h["Upgrade"] = []string{"websocket"}
		h[wsVersion] = []string{version}
	case http.StatusMethodNotAllowed:
		h["Allow"] = []string{http.MethodGet}
	}
	return h
}

// send writes the response; the connection is to be closed then.
func (r *refusal) send(w io.Writer) {
	body := r.why + "\n"
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\n", r.status, http.StatusText(r.status), len(body))
	_ = r.header().Write(&b) // a buffer takes all
	b.WriteString("\r\n" + body)
	_, _ = w.Write(b.Bytes()) // it is refused whether it learns why or not
}
