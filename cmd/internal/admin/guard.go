// SPDX-License-Identifier: Apache-2.0 OR MIT

package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core/host"
)

// maxBody bounds a request's body in bytes: that of a document.
const maxBody = 16 << 20

// guarded makes a route of a handler. What a web page could send through a
// browser is refused: Caddy checks Host and Origin before; here everything else
// that only browsers send, and everything that a form could post.
func guarded(pattern, method string, handle caddy.AdminHandlerFunc) caddy.AdminRoute {
	return caddy.AdminRoute{Pattern: pattern, Handler: caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != method {
			w.Header().Set("Allow", method)
			return fail(http.StatusMethodNotAllowed, fmt.Errorf("method %s: this path takes %s", r.Method, method))
		}
		if r.Header.Get("Upgrade") != "" {
			return fail(http.StatusBadRequest, errors.New("no upgrades here"))
		}
		if fromBrowser(r) && r.Header.Get("Origin") == "" {
			return fail(http.StatusForbidden, errors.New("a browser that does not say which page asks"))
		}
		if hasBody(r) && r.Header.Get("Content-Type") != "application/json" {
			return fail(http.StatusUnsupportedMediaType, errors.New("the Content-Type must be application/json"))
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		// The server's deadline for reading would end requests that take
		// longer. Where there is none to lift that is as well.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		return handle(w, r)
	})}
}

// fromBrowser tells whether a request has one of the headers of fetch metadata.
func fromBrowser(r *http.Request) bool {
	for name := range r.Header {
		if strings.HasPrefix(name, "Sec-Fetch-") {
			return true
		}
	}
	return false
}

func hasBody(r *http.Request) bool { return r.ContentLength != 0 }

// readBody reads a body.
func readBody(r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(r.Body)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, fail(http.StatusRequestEntityTooLarge, fmt.Errorf("the body has more than %d bytes", tooLarge.Limit))
	}
	if err != nil {
		return nil, fail(http.StatusBadRequest, fmt.Errorf("body: %w", err))
	}
	return b, nil
}

// fail is an error with a status.
func fail(status int, err error) error { return caddy.APIError{HTTPStatus: status, Err: err} }

// reply answers with a value as JSON.
func reply(w http.ResponseWriter, status int, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(append(b, '\n'))
	return err
}

// readRequest reads a body strictly.
func readRequest(r *http.Request, into any) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	if err := host.CheckJSON(body); err != nil {
		return fail(http.StatusBadRequest, fmt.Errorf("body: %w", err))
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fail(http.StatusBadRequest, fmt.Errorf("body: %w", err))
	}
	return nil
}
