// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"strconv"
	"strings"
)

// path is the way from the document's root to a value, kept as its last step
// so that going on costs nothing. The root is nil.
type path struct {
	up    *path
	key   string
	index int // if key is empty and list is true
	list  bool
}

// to is the path to the value of a key.
func (p *path) to(key string) *path { return &path{up: p, key: key} }

// item is the path to an item of a list.
func (p *path) item(index int) *path { return &path{up: p, index: index, list: true} }

// pointer writes the path as a JSON pointer (RFC 6901).
func (p *path) pointer() string {
	if p == nil {
		return ""
	}
	if p.list {
		return p.up.pointer() + "/" + strconv.Itoa(p.index)
	}
	return p.up.pointer() + "/" + escape(p.key)
}

// escape writes a key as a step of a JSON pointer.
func escape(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}
