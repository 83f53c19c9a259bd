// SPDX-License-Identifier: Apache-2.0 OR MIT

package delegatedserver

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/routingv1"
)

const (
	// maxText bounds the text of a key, in bytes.
	maxText = 1024
	// maxError bounds the text of an error that clients get, in bytes.
	maxError = 1024
	// defaultFresh is how long a record of IPNS is fresh that does not say it.
	defaultFresh = time.Minute
)

// failure is an error with a status.
type failure struct {
	status int
	error
}

// routes are the paths there are, and what becomes of requests for others.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for path, methods := range map[string]map[string]func(context.Context, http.ResponseWriter, *http.Request) error{
		"providers/{key}":         {http.MethodGet: s.providers},
		"peers/{key}":             {http.MethodGet: s.peers},
		"dht/closest/peers/{key}": {http.MethodGet: s.closest},
		"ipns/{key}":              {http.MethodGet: s.getRecord, http.MethodPut: s.putRecord},
	} {
		mux.HandleFunc("/routing/v1/"+path, func(w http.ResponseWriter, r *http.Request) {
			method := r.Method
			if method == http.MethodHead {
				method = http.MethodGet
			}
			do := methods[method]
			if do == nil {
				s.fail(w, failure{http.StatusNotImplemented, fmt.Errorf("method %s is not one of this path", wire.Text(r.Method, 32))})
				return
			}
			ctx, cancel := context.WithTimeout(r.Context(), time.Duration(s.Timeout))
			defer cancel()
			defer context.AfterFunc(s.done, cancel)()
			if err := do(ctx, w, r); err != nil {
				s.fail(w, err)
			}
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		s.fail(w, failure{http.StatusBadRequest, errors.New("unknown path; those known are /routing/v1/providers/CID, peers/ID, ipns/NAME and dht/closest/peers/KEY")})
	})
	return mux
}

// ServeHTTP implements [http.Handler]: what holds for all requests.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		http.Error(w, "closing", http.StatusServiceUnavailable)
		return
	}
	defer s.serving.Done()
	// Deadlines stay on the connection: those of the request before are replaced.
	client := http.NewResponseController(w)
	_ = client.SetWriteDeadline(time.Now().Add(time.Duration(s.Timeout) + writeTime))
	if r.ContentLength != 0 {
		_ = client.SetReadDeadline(time.Now().Add(headTime))
	}
	defer context.AfterFunc(s.done, func() { _ = client.SetWriteDeadline(time.Now()) })()
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, PUT, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Accept, Content-Type, If-None-Match")
	h.Set("Access-Control-Expose-Headers", "Etag, Retry-After")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	from, _ := netip.ParseAddrPort(r.RemoteAddr) // what is no address has a place of its own
	v, leave := s.gate.enter(from.Addr(), time.Now())
	if v != served {
		h.Set("Retry-After", "1")
		if v == busy {
			s.fail(w, failure{http.StatusServiceUnavailable, errors.New("too many requests are being served; come back later")})
		} else {
			s.fail(w, failure{http.StatusTooManyRequests, errors.New("too many requests; come back later")})
		}
		return
	}
	defer leave()
	s.mux.ServeHTTP(w, r)
}

// fail answers with an error. That of a router may have text from peers in it.
func (s *Server) fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if f := (failure{}); errors.As(err, &f) {
		status = f.status
	} else if errors.Is(err, core.ErrNoRouting) {
		status = http.StatusNotImplemented
	}
	if w.Header().Get("Content-Type") != "" {
		return // the answer has begun
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, wire.Text(err.Error(), maxError)+"\n")
}

// unprocessable is the error of a request whose key or filter is none.
func unprocessable(err error) error { return failure{http.StatusUnprocessableEntity, err} }

// contentKey reads a CID.
func contentKey(text string) ([]byte, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("a CID of %d bytes", len(text))
	}
	id, err := cid.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("%.80q is no CID: %w", text, err)
	}
	if len(id.Hash()) > core.MaxContentKey {
		return nil, fmt.Errorf("a CID with a hash of %d bytes: the most is %d", len(id.Hash()), core.MaxContentKey)
	}
	return id.Hash(), nil
}

// peerID reads a peer ID. Some clients take any CID with the hash of a key for one.
func peerID(text string) (peer.ID, error) {
	id, err := peer.Decode(text)
	if err == nil {
		return id, nil
	}
	if key, e := contentKey(text); e == nil {
		if id, e := peer.FromBytes(key); e == nil {
			return id, nil
		}
	}
	return "", err
}

func (s *Server) providers(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	key, err := contentKey(r.PathValue("key"))
	if err != nil {
		return unprocessable(err)
	}
	return s.send(ctx, w, r, "Providers", s.routers.FindProviders(ctx, key, 0))
}

func (s *Server) peers(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	id, err := peerID(r.PathValue("key"))
	if err != nil {
		return unprocessable(err)
	}
	return s.send(ctx, w, r, "Peers", func(yield func(peer.AddrInfo, error) bool) {
		if id == s.node.ID() {
			yield(peer.AddrInfo{ID: id, Addrs: s.node.Addrs()}, nil)
			return
		}
		info, err := s.routers.FindPeer(ctx, id)
		yield(peer.AddrInfo{ID: id, Addrs: info.Addrs}, err)
	})
}

func (s *Server) closest(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	text := r.PathValue("key")
	key, err := contentKey(text)
	if id, failed := peer.Decode(text); failed == nil {
		key, err = id.Bytes(), nil
	}
	if err != nil {
		return unprocessable(err)
	}
	list, err := s.routers.ClosestPeers(ctx, key)
	if errors.Is(err, core.ErrNotFound) {
		err = failure{http.StatusNotFound, err}
	}
	if err != nil {
		return err
	}
	return s.send(ctx, w, r, "Peers", all(list))
}

// all yields a list.
func all(list []peer.AddrInfo) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		for _, p := range list {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// recordKey reads a name of IPNS.
func recordKey(text string) (string, error) {
	key, err := record.ParseKey("/ipns/" + text)
	if err != nil {
		return "", failure{http.StatusBadRequest, err}
	}
	return key, nil
}

func (s *Server) getRecord(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	key, err := recordKey(r.PathValue("key"))
	if err != nil {
		return err
	}
	if accept := r.Header.Get("Accept"); accept != "" && !strings.Contains(accept, routingv1.IPNS) && !strings.Contains(accept, "*/*") {
		return failure{http.StatusNotAcceptable, errors.New("the answer is application/vnd.ipfs.ipns-record; retry with Accept: application/vnd.ipfs.ipns-record")}
	}
	h := w.Header()
	h.Set("Vary", "Accept")
	value, err := s.routers.GetValue(ctx, key)
	if errors.Is(err, core.ErrNotFound) || errors.Is(err, context.DeadlineExceeded) {
		h.Set("Content-Type", "text/plain; charset=utf-8") // which says that there is none
		cacheControl(w, maxAgeNone, maxStale)
		_, err := io.WriteString(w, "no record found\n")
		return err
	}
	if err != nil {
		return err
	}
	fresh, end, err := s.records.Lifetime(key, value)
	if err != nil && !errors.Is(err, record.ErrNamespace) {
		return err
	}
	if fresh <= 0 {
		fresh = defaultFresh
	}
	etag := fmt.Sprintf(`"%x"`, sha256.Sum256(value))
	h.Set("Etag", etag)
	h.Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	if left := time.Until(end); end.IsZero() || left <= 0 {
		h.Set("Cache-Control", "no-store")
	} else {
		fresh = min(fresh, left)
		cacheControl(w, fresh, left-fresh)
		h.Set("Expires", end.UTC().Format(http.TimeFormat))
	}
	h.Set("Content-Type", routingv1.IPNS)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	_, err = w.Write(value)
	return err
}

func (s *Server) putRecord(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	key, err := recordKey(r.PathValue("key"))
	if err != nil {
		return err
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), routingv1.IPNS) {
		return failure{http.StatusNotAcceptable, errors.New("what is put is application/vnd.ipfs.ipns-record; retry with Content-Type: application/vnd.ipfs.ipns-record")}
	}
	value, err := io.ReadAll(http.MaxBytesReader(w, r.Body, record.MaxValue))
	if err != nil {
		return failure{http.StatusBadRequest, fmt.Errorf("body: %w", err)}
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // or the search would end with it
	if err := s.records.Validate(key, value); err != nil {
		return failure{http.StatusBadRequest, err}
	}
	if err := s.routers.PutValue(ctx, key, value); errors.Is(err, record.ErrWorse) {
		return failure{http.StatusBadRequest, err}
	} else if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
