// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/cmd/internal/admin"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// maxLine bounds a line of an answer, in bytes.
const maxLine = 8 << 20

// client talks to the admin endpoint of a running node.
type client struct {
	http    http.Client
	address string
	network string
	host    string // for the Host header
	target  string // to dial
}

// noNodeError means that nobody listens at the admin address.
type noNodeError struct{ address string }

// Error implements error.
func (e *noNodeError) Error() string {
	return fmt.Sprintf("no node is running at %s; start one with 'xnode run' or 'xnode start', or say where it is with --admin or XNODE_ADMIN", place(e.address))
}

// place is an admin address without the mode of its socket, which is of no
// interest to those who look for a node.
func place(address string) string {
	at, _, _ := strings.Cut(address, "|")
	return at
}

// client returns a client for the admin endpoint that flags and environment name.
func (c *cli) client() (*client, error) {
	address, err := c.adminAddress()
	if err != nil {
		return nil, err
	}
	return newClient(address)
}

func newClient(address string) (*client, error) {
	parsed, err := caddy.ParseNetworkAddress(strings.TrimPrefix(address, "http://"))
	if err != nil {
		return nil, fmt.Errorf("admin address %q: %w", address, err)
	}
	if parsed.PortRangeSize() != 1 {
		return nil, fmt.Errorf("admin address %q: want one address", address)
	}
	c := &client{address: address, network: parsed.Network, target: parsed.JoinHostPort(0)}
	c.host = c.target
	if parsed.IsUnixNetwork() {
		c.target, _, _ = strings.Cut(parsed.Host, "|")
		c.host = "xnode"
	}
	c.http.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
	}
	return c, nil
}

func (c *client) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, c.network, c.target)
}

// answers tells whether somebody listens at the address.
func (c *client) answers(ctx context.Context) bool {
	conn, err := c.dial(ctx)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// maxTries is how often a request is sent. A node that is being reloaded drops
// those that it has not read yet, and answers the next.
const maxTries = 5

// do sends a request and returns the answer if its status is 200. The caller
// closes its body.
func (c *client) do(ctx context.Context, method, path string, body []byte, header ...string) (answer *http.Response, err error) {
	for range maxTries {
		answer, err = c.try(ctx, method, path, body, header)
		if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			break
		}
	}
	return answer, err
}

// try sends a request once.
func (c *client) try(ctx context.Context, method, path string, body []byte, header []string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.host+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := c.http.Do(r)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil, &noNodeError{c.address}
	}
	if err != nil {
		return nil, fmt.Errorf("admin endpoint %s: %w", place(c.address), errors.Unwrap(err))
	}
	if answer.StatusCode == http.StatusOK {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, refusal(answer)
}

// refusal makes an error of an answer.
func refusal(answer *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return err
	}
	var failure admin.Failure
	if json.Unmarshal(body, &failure) != nil || failure.Error == "" {
		return fmt.Errorf("%s: %.200s", answer.Status, bytes.TrimSpace(body))
	}
	if len(failure.Mistakes) > 0 {
		return mistakes{failure.File, failure.Mistakes}
	}
	return errors.New(failure.Error)
}

// get reads the JSON at a path.
func (c *client) get(ctx context.Context, path string, into any) error {
	return c.call(ctx, http.MethodGet, path, nil, into)
}

// post sends a value as JSON and reads the answer.
func (c *client) post(ctx context.Context, path string, value, into any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, path, body, into)
}

func (c *client) call(ctx context.Context, method, path string, body []byte, into any) error {
	answer, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(into)
}

// copy writes an answer that goes on to w.
func (c *client) copy(ctx context.Context, path string, w io.Writer) error {
	answer, err := c.do(ctx, http.MethodPost, path, []byte("{}"))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(w, answer.Body)
	return err
}

// lines sends a value and calls each with every line of the answer, but for one
// that says that the answer ended with an error.
func (c *client) lines(ctx context.Context, path string, value any, each func([]byte) error) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	answer, err := c.do(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	s := bufio.NewScanner(answer.Body)
	s.Buffer(nil, maxLine)
	for s.Scan() {
		if failure := (admin.LineError{}); bytes.HasPrefix(s.Bytes(), []byte(`{"error":`)) &&
			json.Unmarshal(s.Bytes(), &failure) == nil {
			return errors.New(failure.Error)
		}
		if err := each(s.Bytes()); err != nil {
			return err
		}
	}
	return s.Err()
}
