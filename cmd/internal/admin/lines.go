// SPDX-License-Identifier: Apache-2.0 OR MIT

package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// lines is an answer of values that come one by one, each as JSON in a line of
// its own, or as an event to those who accept text/event-stream.
type lines struct {
	w      http.ResponseWriter
	events bool
	begun  bool
}

func newLines(w http.ResponseWriter, r *http.Request) *lines {
	return &lines{w: w, events: strings.Contains(r.Header.Get("Accept"), "text/event-stream")}
}

// begin sends the head of the answer, so that the client knows that what it
// asked for has begun. The first value does the same.
func (l *lines) begin() {
	if l.begun {
		return
	}
	l.begun = true
	kind := "application/x-ndjson"
	if l.events {
		kind = "text/event-stream"
	}
	l.w.Header().Set("Content-Type", kind)
	l.w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(l.w).Flush() // the first value shows whether the client is there
}

// write sends one value at once.
func (l *lines) write(v any) error {
	l.begin()
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	form := "%s\n"
	if l.events {
		form = "data: %s\n\n"
	}
	if _, err := fmt.Fprintf(l.w, form, b); err != nil {
		return err
	}
	return http.NewResponseController(l.w).Flush()
}

// end ends the answer. An error after the first value is the last line; before
// it, it is the answer's status.
func (l *lines) end(status int, err error) error {
	switch {
	case err == nil:
		return nil
	case l.begun:
		return l.write(LineError{err.Error()})
	}
	return fail(status, err)
}

// LineError is the last line of an answer that ended with an error.
type LineError struct {
	Error string `json:"error"`
}
