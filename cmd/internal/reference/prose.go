// SPDX-License-Identifier: Apache-2.0 OR MIT

package reference

import (
	"encoding/json"
	"fmt"
	"go/doc/comment"
	"maps"
	"reflect"
	"regexp"
	"strings"
)

// prose is what docgen has read.
type prose struct {
	Packages map[string]string   `json:"packages"`
	Types    map[string]typeText `json:"types"`
}

type typeText struct {
	Doc    string            `json:"doc"`
	Fields map[string]string `json:"fields"`
}

// add merges another text of docgen's.
func (p *prose) add(text []byte) error {
	var more prose
	if err := json.Unmarshal(text, &more); err != nil {
		return fmt.Errorf("embedded documentation: %w", err)
	}
	maps.Copy(p.Packages, more.Packages)
	maps.Copy(p.Types, more.Types)
	return nil
}

// pathOf is how docgen calls a type. A generic one has no arguments there.
func pathOf(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Name(), "[")
	return t.PkgPath() + "." + name
}

// defaultMark begins the sentence of a comment that says what the default is.
var defaultMark = regexp.MustCompile(`(^|\s)Default: `)

// split parts a field's comment into what the field is and its default. Where
// the comment names the Go field, it names the key instead.
func split(text, goName, key string) (what, def string) {
	what = plain(text)
	if at := defaultMark.FindStringIndex(what); at != nil {
		what, def = strings.TrimSpace(what[:at[0]]), strings.TrimSpace(what[at[1]:])
	}
	if rest, ok := strings.CutPrefix(what, goName+" "); ok {
		what = key + " " + rest
	}
	return what, strings.TrimSuffix(def, ".")
}

// plain is a comment as text: a line for each paragraph.
func plain(text string) string {
	doc := new(comment.Parser).Parse(text)
	p := comment.Printer{TextWidth: -1}
	return strings.TrimSpace(strings.ReplaceAll(string(p.Text(doc)), "\n\n", "\n"))
}
