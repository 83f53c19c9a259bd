// SPDX-License-Identifier: Apache-2.0 OR MIT

package delegated

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/routingv1"
)

const (
	// maxConns bounds the connections to a server.
	maxConns = 16
	// maxBody bounds an answer that is not streamed, maxStream one that is, and
	// maxError what is read of the text of an error, in bytes.
	maxBody   = 4 << 20
	maxStream = 16 << 20
	maxError  = 1024
	// maxRecords bounds the records of an answer.
	maxRecords = 1000
	// maxRedirects bounds how often a server sends on.
	maxRedirects = 3

	// firstWait is how long a server is left alone after a failure; with each
	// more it doubles, up to longestWait.
	firstWait   = time.Second
	longestWait = 5 * time.Minute
)

// endpoint is one server. It plays the roles of a router.
type endpoint struct {
	module *Delegated
	base   *url.URL
	local  bool // addresses in local networks mean something
	self   atomic.Pointer[peer.ID]

	mu       sync.Mutex
	failures int // in a row
	due      time.Time
}

// statusError is an answer that is none.
type statusError struct {
	status int
	text   string
	after  time.Duration // to wait, if the server says so
}

// Error implements error.
func (e *statusError) Error() string {
	text := fmt.Sprintf("%d %s", e.status, http.StatusText(e.status))
	if e.text != "" {
		text += ": " + e.text
	}
	return text
}

// do sends a request. ended must be called when the answer has been read.
func (e *endpoint) do(ctx context.Context, method, accept string, query url.Values, body []byte, path ...string) (answer *http.Response, ended func(error), err error) {
	if wait := e.wait(); wait > 0 {
		return nil, nil, fmt.Errorf("%s: for another %v: %w", e.base.Redacted(), wait.Round(time.Second), core.ErrBackoff)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(e.module.Timeout))
	stop := context.AfterFunc(e.module.done, cancel)
	ended = func(err error) {
		if answer != nil {
			answer.Body.Close()
		}
		stop()
		cancel()
		e.note(err)
	}
	u := e.base.JoinPath(append([]string{"routing", "v1"}, path...)...)
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		ended(nil)
		return nil, nil, err
	}
	r.Header.Set("User-Agent", "xnode")
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	if body != nil {
		r.Header.Set("Content-Type", routingv1.IPNS)
	}
	client := http.Client{Transport: e.module.transport, CheckRedirect: redirect}
	answer, err = client.Do(r)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = readStatus(answer)
	}
	if err != nil {
		failed := err
		if ctx.Err() == context.Canceled {
			failed = nil // nobody wanted the answer any more
		}
		ended(failed)
		return nil, nil, err
	}
	return answer, ended, nil
}

// redirect follows a server that has moved, but not to where everybody can listen.
func redirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
		return fmt.Errorf("redirected to %s, which is too far", r.URL.Redacted())
	}
	return nil
}

// readStatus makes an error of an answer. That there is nothing is one too.
func readStatus(answer *http.Response) error {
	if answer.StatusCode == http.StatusNotFound {
		return core.ErrNotFound
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxError)) // the status is what counts
	e := &statusError{status: answer.StatusCode, text: wire.Text(strings.TrimSpace(string(text)), maxError)}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.after = min(time.Duration(min(seconds, 1<<20))*time.Second, longestWait)
	}
	return e
}

// wait is how long the server is still left alone.
func (e *endpoint) wait() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return time.Until(e.due)
}

// note remembers how a request has ended. A server that refuses a request works.
func (e *endpoint) note(err error) {
	status, refused := errors.AsType[*statusError](err)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil || errors.Is(err, core.ErrNotFound) ||
		refused && status.status != http.StatusTooManyRequests && (status.status < 500 || status.status == http.StatusNotImplemented) {
		e.failures, e.due = 0, time.Time{}
		return
	}
	wait := firstWait << min(e.failures, 20)
	if refused {
		wait = max(wait, status.after)
	}
	if e.failures++; e.failures == 1 {
		e.module.log.Warn("a server for delegated routing does not work; it is left alone for a while", "endpoint", e.base.Redacted(), "error", err)
	}
	e.due = time.Now().Add(min(wait, longestWait))
}

// find yields the records of the answer at a path, or of the list of a name.
func (e *endpoint) find(ctx context.Context, list string, path ...string) iter.Seq2[routingv1.Record, error] {
	return func(yield func(routingv1.Record, error) bool) {
		answer, ended, err := e.do(ctx, http.MethodGet, routingv1.NDJSON+", "+routingv1.JSON, e.module.filter.Query(), nil, path...)
		if err != nil {
			yield(routingv1.Record{}, err)
			return
		}
		var failed error
		defer func() { ended(failed) }()
		n := 0
		for raw, err := range records(answer, list) {
			if err != nil {
				if failed = err; ctx.Err() != nil {
					failed = nil
				}
				yield(routingv1.Record{}, err)
				return
			}
			var r routingv1.Record
			if json.Unmarshal(raw, &r) != nil {
				continue // of a schema that is not known
			}
			r, ok := e.module.filter.Apply(e.reachable(r))
			if !ok {
				continue
			}
			if n++; !yield(r, nil) || n == maxRecords {
				return
			}
		}
	}
}

// records yields the records of an answer, still as JSON.
func records(answer *http.Response, list string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")) // what is no type is none that is known
		switch kind {
		case routingv1.NDJSON:
			s := bufio.NewScanner(io.LimitReader(answer.Body, maxStream))
			s.Buffer(nil, routingv1.MaxRecord)
			for s.Scan() {
				if line := bytes.TrimSpace(s.Bytes()); len(line) > 0 && !yield(line, nil) {
					return
				}
			}
			if s.Err() != nil {
				yield(nil, s.Err())
			}
		case routingv1.JSON:
			body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
			if err == nil && len(body) > maxBody {
				err = fmt.Errorf("an answer of more than %d bytes: %w", maxBody, wire.ErrTooLarge)
			}
			var lists map[string]json.RawMessage
			if err == nil {
				err = json.Unmarshal(body, &lists)
			}
			var raw []json.RawMessage
			if err == nil && len(lists[list]) > 0 {
				err = json.Unmarshal(lists[list], &raw)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for _, r := range raw {
				if !yield(r, nil) {
					return
				}
			}
		default:
			yield(nil, fmt.Errorf("an answer of type %.40q", kind))
		}
	}
}

// reachable takes away the addresses that a server far away cannot know anything
// of: they would lead into this node's own network.
func (e *endpoint) reachable(r routingv1.Record) routingv1.Record {
	if !e.local {
		r.Addrs = slices.DeleteFunc(r.Addrs, func(a ma.Multiaddr) bool { return peer.IsPrivate(a) || peer.IsLoopback(a) })
	}
	return r
}

// of names the server in an error.
func (e *endpoint) of(err error) error {
	if err == nil || errors.Is(err, core.ErrBackoff) {
		return err
	}
	return fmt.Errorf("%s: %w", e.base.Redacted(), err)
}

// FindPeer implements [core.PeerRouting].
func (e *endpoint) FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	for r, err := range e.find(ctx, "Peers", "peers", p.CID()) {
		if err != nil {
			return peer.AddrInfo{}, e.of(err)
		}
		if r.ID == p && len(r.Addrs) > 0 {
			return r.AddrInfo, nil
		}
	}
	return peer.AddrInfo{}, e.of(core.ErrNotFound)
}

// ClosestPeers implements [core.PeerRouting].
func (e *endpoint) ClosestPeers(ctx context.Context, key []byte) ([]peer.AddrInfo, error) {
	text, err := keyText(key)
	if err != nil {
		return nil, err
	}
	var list []peer.AddrInfo
	for r, err := range e.find(ctx, "Peers", "dht", "closest", "peers", text) {
		if err != nil {
			return nil, e.of(err)
		}
		list = append(list, r.AddrInfo)
	}
	return list, nil
}

// keyText is a key in a path: a CID with its multihash.
func keyText(key []byte) (string, error) {
	hash, err := multihash.Cast(key)
	if err != nil {
		return "", fmt.Errorf("key %.40x is no multihash, and servers know no others: %w", key, errors.ErrUnsupported)
	}
	return cid.NewCidV1(cid.Raw, hash).String(), nil
}

// Provide implements [core.ContentRouting], as [Delegated] does.
func (e *endpoint) Provide(ctx context.Context, key []byte) error { return e.module.Provide(ctx, key) }

// FindProviders implements [core.ContentRouting].
func (e *endpoint) FindProviders(ctx context.Context, key []byte, count int) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		text, err := keyText(key)
		if err != nil {
			yield(peer.AddrInfo{}, err)
			return
		}
		seen := make(map[peer.ID]bool) // at most maxRecords
		if self := e.self.Load(); self != nil {
			seen[*self] = true
		}
		n := 0
		for r, err := range e.find(ctx, "Providers", "providers", text) {
			if errors.Is(err, core.ErrNotFound) {
				return
			}
			if err != nil {
				yield(peer.AddrInfo{}, e.of(err))
				return
			}
			if seen[r.ID] {
				continue
			}
			seen[r.ID] = true
			if n++; !yield(r.AddrInfo, nil) || n == count {
				return
			}
		}
	}
}

// namePath is the last part of the path of a record.
func namePath(key string) (string, error) {
	name, ok := strings.CutPrefix(record.KeyText(key), "/ipns/")
	if !ok {
		return "", fmt.Errorf("servers know records of IPNS only: %w", record.ErrNamespace)
	}
	return name, nil
}

// PutValue implements [core.ValueStore].
func (e *endpoint) PutValue(ctx context.Context, key string, value []byte) error {
	name, err := namePath(key)
	if err != nil {
		return err
	}
	_, ended, err := e.do(ctx, http.MethodPut, "", nil, value, "ipns", name)
	if err != nil {
		return e.of(err)
	}
	ended(nil)
	return nil
}

// GetValue implements [core.ValueStore].
func (e *endpoint) GetValue(ctx context.Context, key string) ([]byte, error) {
	name, err := namePath(key)
	if err != nil {
		return nil, err
	}
	answer, ended, err := e.do(ctx, http.MethodGet, routingv1.IPNS, nil, nil, "ipns", name)
	if err != nil {
		return nil, e.of(err)
	}
	value, err := io.ReadAll(io.LimitReader(answer.Body, record.MaxValue+1))
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")) // of another type is no record
	ended(err)
	switch {
	case err != nil:
		return nil, e.of(err)
	case kind != routingv1.IPNS:
		return nil, e.of(core.ErrNotFound)
	}
	if err := e.module.records.Validate(key, value); err != nil {
		return nil, e.of(err)
	}
	return value, nil
}

// SearchValue implements [core.ValueStore].
func (e *endpoint) SearchValue(ctx context.Context, key string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) { yield(e.GetValue(ctx, key)) }
}
