// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package peeridauth is the client's part of libp2p's authentication by peer ID
// over HTTP.
//
// Spec: https://github.com/libp2p/specs/blob/master/http/peer-id-auth.md
//
// The client begins the handshake; a server may answer with the handshake that
// servers begin. Either way both have proved who they are in the end.
package peeridauth

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// challengeSize is how many random bytes a challenge is made of. In base64
	// they are 32 characters.
	challengeSize = 24
	// tokenLife is how long a token is used of which the server does not say
	// when it ends.
	tokenLife = 30 * time.Minute
	// maxReason bounds what is quoted of an answer, in bytes.
	maxReason = 256
)

// The names of the parameters.
const (
	bearer          = "bearer"
	challengeClient = "challenge-client"
	challengeServer = "challenge-server"
	clientPublicKey = "client-public-key"
	expires         = "expires"
	hostname        = "hostname"
	opaque          = "opaque"
	publicKey       = "public-key"
	serverPublicKey = "server-public-key"
	sig             = "sig"
)

// Client talks to one resource on one server. It is not safe for concurrent use.
type Client struct {
	// Identity is who the client is.
	Identity core.Identity
	// URL is where the resource is; the scheme must be https.
	URL string
	// HTTP makes the requests.
	HTTP *http.Client

	handshake *handshake // begun and not ended; nil if there is none
	token     string     // empty if there is none
	tokenEnd  time.Time
}

// handshake is what is known after the server's first answer.
type handshake struct {
	host      string
	mine      string // the challenge for the server
	theirs    string // the challenge for the client
	opaque    string
	serverKey []byte // encoded
	server    peer.PublicKey
	proved    bool // the server has signed the challenge
}

// StatusError is an answer that is no success.
type StatusError struct {
	// URL is what was asked for.
	URL string
	// Code is the status of the answer.
	Code int
	// Reason is how the answer's text begins.
	Reason string
}

// Error implements error.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s: %d %s", e.URL, e.Code, http.StatusText(e.Code))
	if e.Reason != "" {
		text += fmt.Sprintf(": %q", e.Reason)
	}
	return text
}

// Hello begins a handshake, unless there is a token from one before. With no
// error the server is there and ready to hear who the client is.
func (c *Client) Hello(ctx context.Context) error {
	if c.token != "" && time.Now().Before(c.tokenEnd) {
		return nil
	}
	c.token, c.handshake = "", nil
	u, err := url.Parse(c.URL)
	if err != nil {
		return err
	}
	h := &handshake{host: u.Hostname(), mine: newChallenge()}
	key := c.publicKey()
	answer, err := c.do(ctx, http.MethodGet, "", nil, format([2]string{challengeServer, h.mine}, [2]string{publicKey, encode(key)}))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		return c.statusError(answer)
	}
	p, err := find(answer.Header.Values("WWW-Authenticate"))
	if err == nil && p == nil {
		return c.statusError(answer)
	}
	if err == nil {
		err = h.hear(p, key)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.URL, err)
	}
	c.handshake = h
	return nil
}

// hear reads the server's first answer.
func (h *handshake) hear(p params, ownKey []byte) (err error) {
	h.theirs, h.opaque = p[challengeClient], p[opaque]
	switch {
	case h.theirs == "":
		return errors.New("the server sets no challenge")
	case p[publicKey] == "":
		return errors.New("the server does not tell its public key")
	case !quotable(h.opaque):
		return fmt.Errorf("%s: %w", opaque, errMalformed)
	}
	if h.serverKey, err = decode(p[publicKey]); err == nil {
		h.server, err = peer.UnmarshalPublicKey(h.serverKey)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", publicKey, err)
	}
	if p[sig] == "" {
		return nil // the server begins a handshake of its own
	}
	h.proved = true
	return h.verify(p[sig], ownKey)
}

// verify checks the server's signature over the challenge.
func (h *handshake) verify(signature string, ownKey []byte) error {
	b, err := decode(signature)
	if err != nil {
		return fmt.Errorf("%s: %w", sig, err)
	}
	data := signed([2]string{challengeServer, h.mine}, [2]string{clientPublicKey, string(ownKey)}, [2]string{hostname, h.host})
	if !h.server.Verify(data, b) {
		return errors.New("the server's signature is wrong")
	}
	return nil
}

// Post sends a body, and says who sends it. If that takes a handshake and none
// has been begun, it makes one. It fails with a [*StatusError] if the answer is
// no success.
func (c *Client) Post(ctx context.Context, contentType string, body []byte) error {
	if c.token != "" {
		err := c.post(ctx, contentType, body, format([2]string{bearer, c.token}), nil)
		if refused, ok := errors.AsType[*StatusError](err); !ok || refused.Code != http.StatusUnauthorized {
			return err
		}
		c.token = ""
	}
	if c.handshake == nil {
		if err := c.Hello(ctx); err != nil {
			return err
		}
	}
	h := c.handshake
	c.handshake = nil
	signature, err := c.Identity.Sign(signed([2]string{challengeClient, h.theirs},
		[2]string{hostname, h.host}, [2]string{serverPublicKey, string(h.serverKey)}))
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	list := [][2]string{{opaque, h.opaque}, {sig, encode(signature)}}
	if !h.proved {
		list = append([][2]string{{publicKey, encode(c.publicKey())}, {challengeServer, h.mine}}, list...)
	}
	return c.post(ctx, contentType, body, format(list...), h)
}

func (c *Client) post(ctx context.Context, contentType string, body []byte, authorization string, h *handshake) error {
	answer, err := c.do(ctx, http.MethodPost, contentType, body, authorization)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if h != nil && answer.StatusCode != http.StatusUnauthorized {
		if err := c.finish(h, answer); err != nil {
			return fmt.Errorf("%s: %w", c.URL, err)
		}
	}
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return c.statusError(answer)
	}
	return nil
}

// finish ends a handshake with the answer to a request that was authenticated. A
// refusal may come without what a success must have.
func (c *Client) finish(h *handshake, answer *http.Response) error {
	p, err := find(answer.Header.Values("Authentication-Info"))
	if err != nil {
		return err
	}
	if success := answer.StatusCode < 300; !h.proved && (success || p[sig] != "") {
		if p[sig] == "" {
			return errors.New("the server has not proved who it is")
		}
		if err := h.verify(p[sig], c.publicKey()); err != nil {
			return err
		}
		h.proved = true
	}
	if token := p[bearer]; h.proved && token != "" && quotable(token) {
		c.token, c.tokenEnd = token, time.Now().Add(tokenLife)
		if end, err := time.Parse(time.RFC3339, p[expires]); err == nil {
			c.tokenEnd = end
		}
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, contentType string, body []byte, authorization string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if r.URL.Scheme != "https" {
		return nil, fmt.Errorf("%s: not https", c.URL)
	}
	r.Header.Set("Authorization", authorization)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return c.HTTP.Do(r)
}

// statusError quotes an answer.
func (c *Client) statusError(answer *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxReason)) // what came is enough
	reason := strings.ToValidUTF8(strings.TrimSpace(string(text)), "?")
	return &StatusError{c.URL, answer.StatusCode, reason}
}

func (c *Client) publicKey() []byte { return peer.MarshalPublicKey(c.Identity.PublicKey()) }

func newChallenge() string {
	b := make([]byte, challengeSize)
	_, _ = rand.Read(b) // it cannot fail
	return encode(b)
}
