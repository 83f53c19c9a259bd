// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"bytes"
	"crypto/sha1" // which RFC 6455 has; nothing depends on it being hard to break
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const (
	// maxHead bounds the head of a request and of a response, in bytes, and
	// maxLines its lines.
	maxHead  = 8 << 10
	maxLines = 64

	firstHead = 1 << 10 // the size of the first buffer for a head
)

var (
	errHeadSize = fmt.Errorf("the head of the HTTP message has more than %d bytes or %d lines", maxHead, maxLines)
	headEnd     = []byte("\r\n\r\n")
)

// readHead reads the head of an HTTP message, with the empty line at its end.
// What was read behind it is rest.
func readHead(r io.Reader) (head, rest []byte, err error) {
	buf := make([]byte, firstHead)
	for filled := 0; ; {
		n, err := r.Read(buf[filled:])
		searched := max(0, filled-len(headEnd)+1)
		filled += n
		if i := bytes.Index(buf[searched:filled], headEnd); i >= 0 {
			end := searched + i + len(headEnd)
			head, rest = buf[:end:end], buf[end:filled]
			if bytes.Count(head, []byte{'\n'}) > maxLines+2 { // the first line and the empty one
				return nil, nil, errHeadSize
			}
			return head, rest, nil
		}
		switch {
		case err != nil && filled == 0:
			return nil, nil, err
		case errors.Is(err, io.EOF):
			return nil, nil, fmt.Errorf("head of the HTTP message cut off: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return nil, nil, err
		case filled == maxHead:
			return nil, nil, errHeadSize
		case filled == len(buf):
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}

// The headers of the handshake, RFC 6455, section 4, as package http spells them.
const (
	wsKey        = "Sec-Websocket-Key"
	wsAccept     = "Sec-Websocket-Accept"
	wsVersion    = "Sec-Websocket-Version"
	wsProtocol   = "Sec-Websocket-Protocol"
	wsExtensions = "Sec-Websocket-Extensions"

	version = "13"
)

// acceptOf is the answer to the key in a request.
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// hasToken tells whether a header that is a list has an element, in any case.
func hasToken(h http.Header, name, token string) bool {
	for _, line := range h[name] {
		for element := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(element), token) {
				return true
			}
		}
	}
	return false
}
