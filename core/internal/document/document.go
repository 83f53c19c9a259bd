// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package document checks a configuration document against the Go types of the
// modules it names, and says of each mistake where it is and how to mend it.
package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	maxSize  = 16 << 20 // bytes of a document
	maxDepth = 64       // objects and lists within each other
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
	p := parser{doc: d, dec: json.NewDecoder(bytes.NewReader(text))}
	p.dec.UseNumber()
	root, err := p.value("", 0)
	if err != nil {
		return nil, p.locate(err)
	}
	if rest := bytes.TrimLeft(text[p.dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, d.errorAt("", len(text)-len(rest), "there is text after the document's end", "remove it")
	}
	d.root = root
	return d, nil
}

// parser makes values of a decoder's tokens.
type parser struct {
	doc *Document
	dec *json.Decoder
}

// value reads the next value, which pointer leads to.
func (p *parser) value(pointer string, depth int) (*value, error) {
	from := p.next()
	token, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, p.doc.errorAt(pointer, from, "nested too deeply", fmt.Sprintf("keep it within %d levels", maxDepth))
	}
	v := &value{from: from, kind: token}
	switch token {
	case json.Delim('{'):
		err = p.members(v, pointer, depth)
	case json.Delim('['):
		for err == nil && p.dec.More() {
			var item *value
			item, err = p.value(pointer+"/"+strconv.Itoa(len(v.items)), depth+1)
			v.items = append(v.items, item)
		}
		if err == nil {
			_, err = p.dec.Token()
		}
	}
	v.to = int(p.dec.InputOffset())
	return v, err
}

func (p *parser) members(v *value, pointer string, depth int) error {
	seen := make(map[string]bool)
	for p.dec.More() {
		from := p.next()
		token, err := p.dec.Token()
		if err != nil {
			return err
		}
		key := token.(string) // the decoder refuses any other
		at := pointer + "/" + escape(key)
		if seen[key] {
			return p.doc.errorAt(at, from, fmt.Sprintf("the key %q stands twice", key), "remove one")
		}
		seen[key] = true
		member := member{key: key, from: from}
		if member.value, err = p.value(at, depth+1); err != nil {
			return err
		}
		v.members = append(v.members, member)
	}
	_, err := p.dec.Token()
	return err
}

// next is where the next token begins.
func (p *parser) next() int {
	at := int(p.dec.InputOffset())
	return at + len(p.doc.text[at:]) - len(bytes.TrimLeft(p.doc.text[at:], " \t\r\n,:"))
}

// locate turns a syntax error into an Error.
func (p *parser) locate(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return err
	}
	at := p.next()
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at = max(int(syntax.Offset)-1, 0)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || at >= len(p.doc.text) {
		at = len(bytes.TrimRight(p.doc.text, " \t\r\n"))
		if at == 0 {
			return p.doc.errorAt("", 0, "the document is empty", `write {"apps": {"xnode": {}}} for a node with default settings`)
		}
		return p.doc.errorAt("", at, "the document ends too early", "close every bracket, brace and quote that was opened")
	}
	return p.doc.errorAt("", at, err.Error(), syntaxRemedy(p.doc.text, at))
}

// syntaxRemedy knows the habits that other formats allow.
func syntaxRemedy(text []byte, at int) string {
	switch before := bytes.TrimRight(text[:at], " \t\r\n"); {
	case text[at] == '/' || text[at] == '#':
		return "remove the comment: JSON has none"
	case text[at] == '\'':
		return `use double quotes`
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")) && at < 3:
		return "save the file without a byte order mark"
	case bytes.HasSuffix(before, []byte(",")) && (text[at] == '}' || text[at] == ']'):
		return "remove the comma before it"
	case text[at] == '"':
		return "put a comma before it"
	}
	return "write valid JSON here"
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

func escape(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}
