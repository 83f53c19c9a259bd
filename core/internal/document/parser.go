// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parser makes values of a decoder's tokens.
type parser struct {
	doc    *Document
	dec    *json.Decoder
	values int
}

// value reads the next value. The pointer of an [*Error] leads there from it:
// whoever called adds the steps before.
func (p *parser) value(depth int) (*value, error) {
	from := p.next()
	token, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	_, container := token.(json.Delim)
	if p.values++; p.values > maxValues {
		return nil, p.doc.errorAt("", from, fmt.Sprintf("more than %d values", maxValues), "make the document smaller")
	}
	if container && depth == maxDepth {
		return nil, p.doc.errorAt("", from, "nested too deeply", fmt.Sprintf("keep it within %d levels", maxDepth))
	}
	v := &value{from: from, kind: token}
	switch token {
	case json.Delim('{'):
		err = p.members(v, depth)
	case json.Delim('['):
		err = p.items(v, depth)
	}
	v.to = int(p.dec.InputOffset())
	return v, err
}

func (p *parser) items(v *value, depth int) error {
	for p.dec.More() {
		item, err := p.value(depth + 1)
		if err != nil {
			return within(strconv.Itoa(len(v.items)), err)
		}
		v.items = append(v.items, item)
	}
	_, err := p.dec.Token()
	return err
}

func (p *parser) members(v *value, depth int) error {
	seen := make(map[string]bool)
	for p.dec.More() {
		from := p.next()
		token, err := p.dec.Token()
		if err != nil {
			return err
		}
		key := token.(string) // the decoder refuses any other
		if seen[key] {
			return within(key, p.doc.errorAt("", from, fmt.Sprintf("the key %.100q stands twice", key), "remove one"))
		}
		seen[key] = true
		member := member{key: key, from: from}
		if member.value, err = p.value(depth + 1); err != nil {
			return within(key, err)
		}
		v.members = append(v.members, member)
	}
	_, err := p.dec.Token()
	return err
}

// within adds the step before the pointer of an error.
func within(step string, err error) error {
	if own := new(Error); errors.As(err, &own) {
		own.Pointer = "/" + escape(step) + own.Pointer
	}
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
	// The offsets of a decoder that is asked for tokens do not count all that
	// stands before them; those of a decoder of the whole text do.
	var whole json.RawMessage
	var syntax *json.SyntaxError
	at, text := len(p.doc.text), p.doc.text
	if errors.As(json.Unmarshal(text, &whole), &syntax) {
		err, at = syntax, max(int(syntax.Offset)-1, 0)
	}
	end := len(bytes.TrimRight(text, " \t\r\n"))
	early := strings.HasPrefix(err.Error(), "unexpected end") ||
		at < end && text[at] != ' ' && strings.HasPrefix(err.Error(), "invalid character ' '")
	switch {
	case end == 0:
		return p.doc.errorAt("", 0, "the document is empty", `write {"apps": {"xnode": {}}} for a node with default settings`)
	case at >= end || early:
		return p.doc.errorAt("", end, "the document ends too early", "close every bracket, brace and quote that was opened")
	}
	return p.doc.errorAt("", at, err.Error(), syntaxRemedy(text, at, err.Error()))
}

// syntaxRemedies are for what Go's decoder says.
var syntaxRemedies = []struct{ problem, remedy string }{
	{"after object key:value pair", "put a comma before it"},
	{"after array element", "put a comma before it"},
	{"after object key", "put a colon before it"},
	{"in string literal", `close the quotes before it, or write \n for a new line`},
	{"beginning of object key string", "put the key in double quotes"},
}

// syntaxRemedy knows the habits that other formats allow.
func syntaxRemedy(text []byte, at int, problem string) string {
	switch before := bytes.TrimRight(text[:at], " \t\r\n"); {
	case strings.Contains(problem, "in string escape code"):
		return `write \\ for a backslash`
	case text[at] == '/' || text[at] == '#':
		return "remove the comment: JSON has none"
	case text[at] == '\'':
		return "use double quotes"
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")) && at < 3:
		return "save the file without a byte order mark"
	case bytes.HasSuffix(before, []byte(",")) && (text[at] == '}' || text[at] == ']'):
		return "remove the comma before it"
	}
	for _, r := range syntaxRemedies {
		if strings.Contains(problem, r.problem) {
			return r.remedy
		}
	}
	return "write valid JSON here"
}

// invalidUTF8 finds the first byte that is no UTF-8; it returns -1 if all are.
func invalidUTF8(text []byte) int {
	if utf8.Valid(text) {
		return -1
	}
	at := 0
	for {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
}
