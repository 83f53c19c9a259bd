// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// FieldTag is what the tag "xnode" of a configuration's field says, such as
//
//	Interval core.Duration `json:"interval,omitempty" xnode:"was=every,deprecated=it does nothing any more"`
type FieldTag struct {
	// Was is the key that the field had before. Documents may still say it.
	Was string
	// Deprecated says why the field will go, and what to write instead.
	Deprecated string
}

// TagOf reads the tag of a field. What is deprecated is said at its end, and may
// have commas in it.
func TagOf(f reflect.StructField) (t FieldTag) {
	rest := f.Tag.Get("xnode")
	if before, why, ok := strings.Cut(rest, "deprecated="); ok {
		rest, t.Deprecated = before, why
	}
	for part := range strings.SplitSeq(rest, ",") {
		if was, ok := strings.CutPrefix(part, "was="); ok {
			t.Was = was
		}
	}
	return t
}

// current is a module's configuration with the keys that its fields have now, and
// what is to be said about those that it has. t is the type of the module.
func current(config json.RawMessage, t reflect.Type) (json.RawMessage, []string, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var keys map[string]json.RawMessage
	if t.Kind() != reflect.Struct || !tagged(t) || json.Unmarshal(config, &keys) != nil {
		return config, nil, nil
	}
	var notes []string
	for f := range fields(t) {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		tag := TagOf(f)
		if old, ok := keys[tag.Was]; ok && tag.Was != "" {
			if _, both := keys[key]; both {
				return nil, nil, fmt.Errorf("%s: it is called %s now, which is there too; remove one", tag.Was, key)
			}
			keys[key] = old
			delete(keys, tag.Was)
			notes = append(notes, fmt.Sprintf("%s is called %s now", tag.Was, key))
		}
		if _, ok := keys[key]; ok && tag.Deprecated != "" {
			notes = append(notes, fmt.Sprintf("%s is deprecated: %s", key, tag.Deprecated))
		}
	}
	slices.Sort(notes)
	config, err := json.Marshal(keys)
	return config, notes, err
}

// tagged reports whether a field of a struct has a tag of xnode's.
func tagged(t reflect.Type) bool {
	for f := range fields(t) {
		if f.Tag.Get("xnode") != "" {
			return true
		}
	}
	return false
}

// fields yields the fields of a struct and of those that it embeds.
func fields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, f := range reflect.VisibleFields(t) {
			if f.IsExported() && !f.Anonymous && !yield(f) {
				return
			}
		}
	}
}
