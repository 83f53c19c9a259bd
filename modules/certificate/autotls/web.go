// SPDX-License-Identifier: Apache-2.0 OR MIT

package autotls

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strconv"
	"sync"
	"time"
)

const (
	userAgent = "xnode (github.com/xnode-p2p/xnode)"
	// maxAnswer and maxHeader bound an answer, in bytes.
	maxAnswer = 1 << 20
	maxHeader = 64 << 10
	// requestTimeout bounds a request. The broker dials the node within one.
	requestTimeout = 90 * time.Second
)

// web talks to the broker and the authority during one order.
type web struct {
	client    *http.Client
	transport *http.Transport

	mu    sync.Mutex
	until time.Time // before which a server wants no more requests
}

func newWeb(roots *x509.CertPool) *web {
	w := &web{transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
		ForceAttemptHTTP2:      true,
	}}
	// A broker may be several servers that keep a client apart by a cookie.
	jar, _ := cookiejar.New(nil) // it cannot fail
	w.client = &http.Client{
		Transport:     w,
		Jar:           jar,
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w
}

func (w *web) close() { w.transport.CloseIdleConnections() }

// RoundTrip implements [http.RoundTripper].
func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, fmt.Errorf("%s: not https", r.URL)
	}
	if r.Header.Get("User-Agent") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("User-Agent", userAgent)
	}
	answer, err := w.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = &bounded{answer.Body, maxAnswer}
	if answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusServiceUnavailable {
		until := retryAfter(answer.Header.Get("Retry-After"))
		w.mu.Lock()
		defer w.mu.Unlock()
		if until.After(w.until) {
			w.until = until
		}
	}
	return answer, nil
}

// later adds to a failure when to come back, if a server has said that.
func (w *web) later(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.until.IsZero() {
		return err
	}
	return &laterError{err, w.until}
}

// retryAfter reads a header of seconds or of a time; zero if it says nothing.
func retryAfter(value string) time.Time {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Now().Add(time.Duration(seconds) * time.Second)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return time.Time{}
	}
	return at
}

// bounded is the body of an answer that must not be longer than so many bytes.
type bounded struct {
	io.ReadCloser
	left int64
}

// Read implements [io.Reader].
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("more than %d bytes", maxAnswer)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
