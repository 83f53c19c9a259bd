// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package document checks a configuration document against the Go types of the
// modules it names, and says of each mistake where it is and how to mend it.
package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

const (
	maxSize   = 16 << 20 // bytes of a document
	maxDepth  = 64       // objects and lists within each other
	maxValues = 1 << 20  // values of a document, for each takes some 100 bytes
)

// Document is a JSON document that knows where each value stands.
type Document struct {
	text []byte
	root *value
}

// value is one value of a document and the bytes it takes.
type value struct {
	from, to int
	kind     json.Token // json.Delim of objects and lists, else the value itself
	members  []member   // of an object, in order
	items    []*value   // of a list
}

// member is one key of an object and its value.
type member struct {
	key  string
	from int // of the key
	*value
}

// Error is one mistake in a document.
type Error struct {
	// Pointer is the JSON pointer (RFC 6901) to the value.
	Pointer string `json:"pointer"`
	// Line and Column count from 1; a column counts bytes. They are zero if
	// the text is not known.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Problem says what is wrong, Remedy how to mend it.
	Problem string `json:"problem"`
	Remedy  string `json:"remedy,omitempty"`
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	pointer := e.Pointer
	if pointer == "" {
		pointer = "/"
	}
	b.WriteString(pointer)
	if e.Line > 0 {
		fmt.Fprintf(&b, " (line %d, column %d)", e.Line, e.Column)
	}
	b.WriteString(": " + e.Problem)
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return b.String()
}

// Parse reads a document. A mistake in its syntax, and a key that stands twice
// in an object, is an [*Error].
func Parse(text []byte) (*Document, error) {
	d := &Document{text: text}
	if len(text) > maxSize {
		return nil, &Error{
			Problem: fmt.Sprintf("the document has %d bytes", len(text)),
			Remedy:  fmt.Sprintf("keep it within %d", maxSize),
		}
	}
	if at := invalidUTF8(text); at >= 0 {
		return nil, d.errorAt("", at, fmt.Sprintf("the byte %#x is no UTF-8", text[at]), "save the file in UTF-8")
	}
	p := parser{doc: d, dec: json.NewDecoder(bytes.NewReader(text))}
	p.dec.UseNumber()
	root, err := p.value(0)
	if err != nil {
		return nil, p.locate(err)
	}
	if rest := bytes.TrimLeft(text[p.dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, d.errorAt("", len(text)-len(rest), "there is text after the document's end", "remove it")
	}
	d.root = root
	return d, nil
}

// schemaKey names the schema of a document, for editors, at its root.
const schemaKey = "$schema"

// Plain is the text of the document without what is for editors alone. What is
// left stands where it stood.
func (d *Document) Plain() []byte {
	for _, m := range d.root.members {
		if m.key != schemaKey {
			continue
		}
		text := bytes.Clone(d.text)
		from, to := m.from, m.to
		if rest := bytes.TrimLeft(text[to:], " \t\r\n"); bytes.HasPrefix(rest, []byte(",")) {
			to = len(text) - len(rest) + 1
		} else if before := bytes.TrimRight(text[:from], " \t\r\n"); bytes.HasSuffix(before, []byte(",")) {
			from = len(before) - 1
		}
		for i, b := range text[from:to] {
			if b != '\n' {
				text[from+i] = ' '
			}
		}
		return text
	}
	return d.text
}

// errorAt makes an Error for a place in the text.
func (d *Document) errorAt(pointer string, offset int, problem, remedy string) *Error {
	before := d.text[:min(offset, len(d.text))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return &Error{pointer, line, column, problem, remedy}
}

// member returns the value of a key, or nil.
func (v *value) member(key string) *value {
	for _, m := range v.members {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

// child returns the value that one step of a pointer leads to, or nil.
func (v *value) child(step string) *value {
	if m := v.member(step); m != nil {
		return m
	}
	if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(v.items) {
		return v.items[i]
	}
	return nil
}
