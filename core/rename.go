// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// FieldTag is what the tag "xnode" of a configuration's field says, such as
//
//	Interval core.Duration `json:"interval,omitempty" xnode:"was=every,deprecated=it does nothing any more"`
//	Mode string `json:"mode,omitempty" xnode:"one_of=client|server"`
type FieldTag struct {
	// Was is the key that the field had before. Documents may still say it.
	Was string
	// Deprecated says why the field will go, and what to write instead.
	Deprecated string
	// OneOf are the only texts that the field, or each item of its list, may be; nil
	// if there are others. They are for editors: whether a value is one of them, the
	// module checks itself.
	OneOf []string
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
		if texts, ok := strings.CutPrefix(part, "one_of="); ok {
			t.OneOf = strings.Split(texts, "|")
		}
	}
	return t
}

// UnmarshalCurrent reads a configuration strictly, as [json.Unmarshal] does but for
// unknown keys, and takes old keys for those that fields have now. In notes is what
// is to be said about the keys that it has. A type whose UnmarshalJSON calls it, for
// a type without that method, has a method KeysOfFields, which says that its keys
// are those of its fields all the same.
func UnmarshalCurrent(config []byte, to any) (notes []string, err error) {
	config, notes, err = current(config, reflect.TypeOf(to))
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(config))
	d.DisallowUnknownFields()
	return notes, d.Decode(to)
}

// current is a configuration with the keys that the fields of a type have now, also
// those of structs in it, and what is to be said about the keys that it has.
func current(config json.RawMessage, t reflect.Type) (json.RawMessage, []string, error) {
	var r renamer
	config, err := r.value(config, t, "")
	slices.Sort(r.notes)
	return config, r.notes, err
}

// renamer gives keys the names that they have now.
type renamer struct{ notes []string }

// value renews what is in a value, which is at a place. What is not of its type is
// left to whoever decodes it.
func (r *renamer) value(raw json.RawMessage, t reflect.Type, at string) (json.RawMessage, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if !tagged(t, nil) {
		return raw, nil
	}
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil {
			return raw, nil
		}
		for i := range list {
			var err error
			if list[i], err = r.value(list[i], t.Elem(), fmt.Sprintf("%s%d/", at, i)); err != nil {
				return nil, err
			}
		}
		return json.Marshal(list)
	}
	var keys map[string]json.RawMessage
	if json.Unmarshal(raw, &keys) != nil {
		return raw, nil
	}
	if t.Kind() == reflect.Map {
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if err := r.member(keys, key, t.Elem(), at); err != nil {
				return nil, err
			}
		}
		return json.Marshal(keys)
	}
	for f := range fields(t) {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		tag := TagOf(f)
		if old, ok := keys[tag.Was]; ok && tag.Was != "" {
			if _, both := keys[key]; both {
				return nil, fmt.Errorf("%s%s: it is called %s now, which is there too; remove one", at, tag.Was, key)
			}
			keys[key] = old
			delete(keys, tag.Was)
			r.notes = append(r.notes, fmt.Sprintf("%s%s is called %s now", at, tag.Was, key))
		}
		if _, ok := keys[key]; ok && tag.Deprecated != "" {
			r.notes = append(r.notes, fmt.Sprintf("%s%s is deprecated: %s", at, key, tag.Deprecated))
		}
		if err := r.member(keys, key, f.Type, at); err != nil {
			return nil, err
		}
	}
	return json.Marshal(keys)
}

// member renews one member of an object.
func (r *renamer) member(keys map[string]json.RawMessage, key string, t reflect.Type, at string) (err error) {
	if raw, ok := keys[key]; ok {
		keys[key], err = r.value(raw, t, at+key+"/")
	}
	return err
}

// tagged reports whether a field of a type, or of one within it, has a tag of
// xnode's. The types in around contain it. What decodes itself knows its old keys.
func tagged(t reflect.Type, around []reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map, reflect.Struct:
	default:
		return false
	}
	if slices.Contains(around, t) || t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return false
	}
	around = append(around, t)
	if t.Kind() != reflect.Struct {
		return tagged(t.Elem(), around)
	}
	for f := range fields(t) {
		if f.Tag.Get("xnode") != "" || tagged(f.Type, around) {
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
