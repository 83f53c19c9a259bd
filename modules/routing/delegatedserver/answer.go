// SPDX-License-Identifier: Apache-2.0 OR MIT

package delegatedserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/routingv1"
)

const (
	// maxRecords bounds those of an answer, maxStreamed those of one that is
	// streamed.
	maxRecords  = 100
	maxStreamed = 1000
	// writeTime is how long a client may take to take a piece of an answer.
	writeTime = 30 * time.Second

	// How long answers may be cached: with records in them and without, and how
	// long old ones are better than none: as long as the DHT keeps them.
	maxAgeSome = 5 * time.Minute
	maxAgeNone = 15 * time.Second
	maxStale   = 48 * time.Hour
)

func cacheControl(w http.ResponseWriter, fresh, stale time.Duration) {
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d, stale-while-revalidate=%d, stale-if-error=%[2]d",
		int(fresh.Seconds()), int(stale.Seconds())))
}

// wantsStream tells which form a client wants its answer in.
func wantsStream(r *http.Request) (stream bool, err error) {
	accept := r.Header.Values("Accept")
	plain := len(accept) == 0
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, _, _ := mime.ParseMediaType(part) // what is no type is none that is known
		switch kind {
		case routingv1.NDJSON:
			stream = true
		case routingv1.JSON, "application/*", "*/*":
			plain = true
		}
	}
	if !stream && !plain {
		return false, failure{http.StatusNotAcceptable, errors.New("the answer is application/json or application/x-ndjson; retry with Accept: application/json")}
	}
	return stream, nil
}

// send answers with the peers that are found, in the list of a name or streamed.
func (s *Server) send(ctx context.Context, w http.ResponseWriter, r *http.Request, list string, found iter.Seq2[peer.AddrInfo, error]) error {
	stream, err := wantsStream(r)
	if err != nil {
		return err
	}
	filter, err := routingv1.ParseFilter(r.URL.Query())
	if err != nil {
		return unprocessable(err)
	}
	most := maxRecords
	if stream {
		most = maxStreamed
	}
	records := []routingv1.Record{}
	n := 0
	for p, err := range found {
		if err != nil {
			if n > 0 || errors.Is(err, core.ErrNotFound) || ctx.Err() != nil {
				break
			}
			return err
		}
		if len(p.Addrs) == 0 {
			p.Addrs = s.node.PeerAddrs(p.ID)
		}
		record, ok := filter.Apply(routingv1.Record{AddrInfo: p})
		if !ok {
			continue
		}
		if n++; stream {
			if err := s.line(w, n == 1, record); err != nil {
				return nil // the client has gone
			}
		} else {
			records = append(records, record)
		}
		if n == most {
			break
		}
	}
	switch {
	case !stream:
		s.head(w, routingv1.JSON, n > 0)
		return json.NewEncoder(w).Encode(map[string]any{list: records})
	case n == 0:
		s.head(w, routingv1.NDJSON, false)
		w.WriteHeader(http.StatusOK)
	}
	return nil
}

// head sets the header of an answer, with records or without.
func (s *Server) head(w http.ResponseWriter, kind string, some bool) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Vary", "Accept")
	h.Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	fresh := maxAgeNone
	if some {
		fresh = maxAgeSome
	}
	cacheControl(w, fresh, maxStale)
}

// line sends a record of a stream at once.
func (s *Server) line(w http.ResponseWriter, first bool, r routingv1.Record) error {
	if first {
		s.head(w, routingv1.NDJSON, true)
	}
	deadline(w)
	if err := json.NewEncoder(w).Encode(r); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

// deadline gives a client time to take what comes next. A writer of a test has
// none.
func deadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
}
