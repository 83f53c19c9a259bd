// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// maxName bounds the names, in bytes, for which similar ones are sought.
const maxName = 64

// suggest proposes the known name that is nearest to an unknown one, or lists
// them all.
func suggest(name string, known []string, label string) string {
	best, distance := "", len(name)/2+1
	for _, k := range known {
		if len(name) > maxName {
			break
		}
		if d := editDistance(strings.ToLower(name), strings.ToLower(k)); d < distance {
			best, distance = k, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf("did you mean %q?", best)
	case len(known) == 0:
		return "remove it"
	}
	return label + ": " + strings.Join(known, ", ")
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours that make b of a.
func editDistance(a, b string) int {
	var before, last []int // the distances for a's first i-2 and i-1 bytes
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}

// names lists the modules of a namespace, or the apps.
func names(namespace string) []string {
	var list []string
	for _, m := range caddy.GetModules(namespace) {
		list = append(list, m.ID.Name())
	}
	slices.Sort(list)
	return list
}

// example is the name of a module of a namespace.
func example(namespace string) string {
	if list := names(namespace); len(list) > 0 {
		return list[0]
	}
	return "NAME"
}

// describe says what a value is.
func describe(v *value) string {
	switch k := v.kind.(type) {
	case json.Delim:
		if k == '{' {
			return "an object"
		}
		return "a list"
	case string:
		return fmt.Sprintf("the string %.40q", k)
	case json.Number:
		return fmt.Sprintf("the number %.40s", k)
	case bool:
		return fmt.Sprint(k)
	}
	return "null"
}

// typeName says what JSON a type wants.
func typeName(t reflect.Type) string {
	if implements(t, textType) {
		return "a string"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Int8, reflect.Int16, reflect.Int32:
		top := int64(1) << (t.Bits() - 1)
		return fmt.Sprintf("a whole number from %d to %d", -top, top-1)
	case reflect.Uint, reflect.Uint64:
		return "a whole number, not negative"
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return fmt.Sprintf("a whole number from 0 to %d", uint64(1)<<t.Bits()-1)
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "a string of bytes in base64"
		}
		return "a list"
	case reflect.Array:
		return fmt.Sprintf("a list of %d", t.Len())
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return "a string"
}

// toWrite begins a remedy. "write /path: no space" is an error of the operating
// system and none.
var toWrite = regexp.MustCompile(`: (write (an? |the |[0-9"{]).*)$`)

// splitRemedy takes the remedy off an error text: what follows the last
// semicolon, or the colon before a "write a …".
func splitRemedy(text string) (problem, remedy string) {
	if m := toWrite.FindStringSubmatchIndex(text); m != nil {
		return text[:m[0]], text[m[2]:]
	}
	if i := strings.LastIndex(text, "; "); i > 0 {
		return text[:i], text[i+2:]
	}
	return text, ""
}
