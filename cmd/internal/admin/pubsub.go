// SPDX-License-Identifier: Apache-2.0 OR MIT

package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/cmd/internal/node"
	"github.com/xnode-p2p/xnode/core"
)

// Publication is the body of a request to publish a message.
type Publication struct {
	Topic string `json:"topic"`
	// Data is in base64, as JSON has bytes.
	Data []byte `json:"data"`
}

// Published is its answer.
type Published struct {
	// Peers is to how many peers the message went.
	Peers int `json:"peers"`
}

// Listening is the body of a request for messages.
type Listening struct {
	Topics []string `json:"topics"`
	// Count ends the answer after as many messages. Default: 0, which means
	// never.
	Count int `json:"count,omitempty"`
}

// topics finds the pub/sub of the running node.
func topics() (core.Topics, error) {
	h, err := running()
	if err != nil {
		return nil, err
	}
	t, err := node.PubSub(h)
	if err != nil {
		return nil, fail(http.StatusNotFound, err)
	}
	return t, nil
}

func serveTopics(w http.ResponseWriter, _ *http.Request) error {
	t, err := topics()
	if err != nil {
		return err
	}
	list := t.TopicNames()
	if list == nil {
		list = []string{}
	}
	return reply(w, http.StatusOK, list)
}

func serveTopicPeers(w http.ResponseWriter, r *http.Request) error {
	t, err := topics()
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, node.TopicPeers(t, r.URL.Query().Get("topic")))
}

func servePublish(w http.ResponseWriter, r *http.Request) error {
	var p Publication
	t, err := topics()
	if err != nil {
		return err
	}
	if err := readRequest(r, &p); err != nil {
		return err
	}
	n, err := t.Publish(r.Context(), p.Topic, p.Data)
	if err != nil {
		return fail(http.StatusBadRequest, err)
	}
	return reply(w, http.StatusOK, Published{n})
}

// streamed makes a handler of one whose answer has no end: its end is that of
// the request, which is no error.
func streamed(handle func(*http.Request, *lines) error) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		out := newLines(w, r)
		err := handle(r, out)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		if api := (caddy.APIError{}); errors.As(err, &api) {
			return out.end(api.HTTPStatus, api.Err)
		}
		return out.end(http.StatusBadRequest, err)
	}
}

func serveMessages(r *http.Request, out *lines) error {
	var q Listening
	t, err := topics()
	if err != nil {
		return err
	}
	if err := readRequest(r, &q); err != nil {
		return err
	}
	if len(q.Topics) == 0 || q.Count < 0 {
		return fail(http.StatusBadRequest, errors.New("topics: want at least one, and count not below 0"))
	}
	out.begin()
	return node.Messages(r.Context(), t, q.Topics, q.Count, func(m node.TopicMessage) error { return out.write(m) })
}

func serveTopicTrace(r *http.Request, out *lines) error {
	t, err := topics()
	if err != nil {
		return err
	}
	out.begin()
	return node.TopicEvents(r.Context(), t, func(e node.TopicEvent) error { return out.write(e) })
}

func serveTopicRecord(w http.ResponseWriter, r *http.Request) error {
	t, err := topics()
	if err != nil {
		return err
	}
	recorder, ok := t.(core.TopicRecorder)
	if !ok {
		return fail(http.StatusNotFound, errors.New("the node's pub/sub has no traces in protobuf"))
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.WriteHeader(http.StatusOK)
	out := &flushed{w, http.NewResponseController(w)}
	_ = out.flush() // the first event shows whether the client is there
	_, _ = recorder.RecordTopics(r.Context(), out)
	return nil // whatever ended it, the answer has begun
}

// flushed sends all that is written at once.
type flushed struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (f *flushed) flush() error { return f.control.Flush() }

func (f *flushed) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	if err != nil {
		return n, err
	}
	return n, f.flush()
}
