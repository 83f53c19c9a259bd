// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"encoding/json"
	"io"
	"sync"
)

// lines writes JSON objects, one a line, from any goroutine.
type lines struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func newLines(w io.Writer) *lines {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &lines{enc: enc}
}

// emit writes v as one line. A reader that has gone away is no error of the
// operation, so what writing says is dropped.
func (l *lines) emit(v any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.enc.Encode(v)
}

// failure is the last line of a command that did not do what was asked.
type failure struct {
	OK    bool   `json:"ok"`
	Error string `json:"error"`
}
