// SPDX-License-Identifier: Apache-2.0 OR MIT

package admin

import (
	"encoding/json"
	"net/http"
)

// lines is an answer of values that come one by one, each as JSON in a line of
// its own.
type lines struct {
	w     http.ResponseWriter
	begun bool
}

// write sends one value at once.
func (l *lines) write(v any) error {
	if !l.begun {
		l.w.Header().Set("Content-Type", "application/x-ndjson")
		l.begun = true
	}
	if err := json.NewEncoder(l.w).Encode(v); err != nil {
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
