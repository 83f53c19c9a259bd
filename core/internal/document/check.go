// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

const (
	// inlineKey names the module inside an entry of a list.
	inlineKey = "module"
	// idKey names an object for the admin API; it may stand in any.
	idKey = "@id"
	// maxErrors bounds what is reported at once, maxFound what is collected.
	maxErrors = 20
	maxFound  = 1000
)

// section is a field that holds modules.
type section interface{ ModuleNamespace() string }

var (
	sectionType = reflect.TypeFor[section]()
	jsonType    = reflect.TypeFor[json.Unmarshaler]()
	textType    = reflect.TypeFor[encoding.TextUnmarshaler]()
	rawType     = reflect.TypeFor[json.RawMessage]()
	// keysType decodes itself, but has the keys of its fields: see
	// [core.UnmarshalCurrent].
	keysType = reflect.TypeFor[interface{ KeysOfFields() }]()
)

// Check compares a whole document with what Caddy and the modules in this
// binary understand. It returns up to 20 mistakes, each an [*Error], joined.
func (d *Document) Check() error {
	c := checker{doc: d}
	c.check(d.root, reflect.TypeFor[caddy.Config](), nil, "apps", schemaKey)
	if v := d.root.member(schemaKey); v != nil {
		c.check(v, reflect.TypeFor[string](), (*path)(nil).to(schemaKey))
	}
	if apps, at := d.root.member("apps"), (*path)(nil).to("apps"); apps != nil && apps.kind == json.Delim('{') {
		for _, m := range apps.members {
			if m.key != idKey {
				c.module(m, at.to(m.key), m.key, "")
			}
		}
	} else if apps != nil {
		c.mismatch(apps, at, "an object")
	}
	c.admin()
	c.names(d.root, nil, make(map[string]*path))
	return c.result()
}

// checker collects mistakes.
type checker struct {
	doc   *Document
	found []mistake
	more  int // mistakes beyond maxFound
}

// mistake is what becomes an [Error] if it is among the first.
type mistake struct {
	at              *path
	offset          int
	problem, remedy string
}

func (c *checker) result() error {
	slices.SortStableFunc(c.found, func(a, b mistake) int { return cmp.Compare(a.offset, b.offset) })
	var errs []error
	for _, m := range c.found[:min(len(c.found), maxErrors)] {
		errs = append(errs, c.doc.errorAt(m.at.pointer(), m.offset, m.problem, m.remedy))
	}
	if more := len(c.found) - len(errs) + c.more; more > 0 {
		errs = append(errs, fmt.Errorf("and %d more", more))
	}
	return errors.Join(errs...)
}

func (c *checker) add(at *path, offset int, problem, remedy string) {
	if len(c.found) == maxFound {
		c.more++
		return
	}
	c.found = append(c.found, mistake{at, offset, problem, remedy})
}

func (c *checker) mismatch(v *value, at *path, want string) {
	c.add(at, v.from, "want "+want+", got "+describe(v), "write "+want)
}

// check compares a value with the type it will be decoded into. Members in
// skip are left to the caller.
func (c *checker) check(v *value, t reflect.Type, at *path, skip ...string) {
	for t.Kind() == reflect.Pointer && (!t.Implements(jsonType) || t.Implements(keysType) || t.Elem().Implements(sectionType)) {
		t = t.Elem()
	}
	if v.kind == nil && t.Kind() != reflect.Struct {
		c.add(at, v.from, "null says nothing", "remove the key to have its default")
		return
	}
	switch {
	case t.Implements(sectionType):
		c.section(v, t, at)
	case t == rawType || t.Kind() == reflect.Interface:
	case implements(t, jsonType) && !implements(t, keysType), implements(t, textType):
		c.decode(v, t, at, skip)
	case t.Kind() == reflect.Struct:
		c.object(v, t, at, skip)
	case t.Kind() == reflect.Map:
		if v.kind != json.Delim('{') {
			c.mismatch(v, at, "an object")
			return
		}
		for _, m := range v.members {
			if m.key != idKey {
				c.check(m.value, t.Elem(), at.to(m.key))
			}
		}
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8: // bytes are a string
		if v.kind != json.Delim('[') {
			c.mismatch(v, at, "a list")
			return
		}
		for i, item := range v.items {
			c.check(item, t.Elem(), at.item(i))
		}
	default:
		c.scalar(v, t, at)
	}
}

func implements(t, iface reflect.Type) bool {
	return t.Implements(iface) || reflect.PointerTo(t).Implements(iface)
}

// decode lets the type itself judge a value, without what it will not see when
// the document is loaded: names for the admin API and the members in skip.
func (c *checker) decode(v *value, t reflect.Type, at *path, skip []string) {
	defer func() {
		if r := recover(); r != nil {
			c.add(at, v.from, fmt.Sprintf("panic: %.200v", r), "report this to the author of the module")
		}
	}()
	text := c.doc.text[v.from:v.to]
	if len(skip) > 0 {
		text = v.without(text, skip)
	}
	if bytes.Contains(text, []byte(`"`+idKey+`"`)) {
		text = caddy.RemoveMetaFields(text)
	}
	err := json.Unmarshal(text, reflect.New(t).Interface())
	if err == nil {
		return
	}
	wrong := new(json.UnmarshalTypeError)
	if !errors.As(err, &wrong) {
		problem, remedy := splitRemedy(err.Error())
		c.add(at, v.from, problem, remedy)
		return
	}
	for step := range strings.SplitSeq(wrong.Field, ".") {
		if next := v.member(step); next != nil {
			v, at = next, at.to(step)
		}
	}
	c.mismatch(v, at, typeName(wrong.Type))
}

// without is the text of an object without the members in skip.
func (v *value) without(text []byte, skip []string) []byte {
	out := []byte{'{'}
	for _, m := range v.members {
		if slices.Contains(skip, m.key) {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, text[m.from-v.from:m.to-v.from]...)
	}
	return append(out, '}')
}

// object compares an object's keys with a struct's fields.
func (c *checker) object(v *value, t reflect.Type, at *path, skip []string) {
	if v.kind != json.Delim('{') {
		c.mismatch(v, at, "an object")
		return
	}
	fields := make(map[string]reflect.Type)
	for _, f := range FieldsOf(t) {
		fields[f.Key] = f.Type
		if f.Was != "" { // core reads it as what it is now
			fields[f.Was] = f.Type
		}
	}
	for _, m := range v.members {
		field, ok := fields[m.key]
		switch {
		case m.key == idKey || slices.Contains(skip, m.key):
		case !ok:
			var known []string
			for _, f := range FieldsOf(t) {
				known = append(known, f.Key)
			}
			slices.Sort(known)
			known = slices.Compact(known)
			c.add(at.to(m.key), m.from, fmt.Sprintf("unknown key %.100q", m.key), suggest(m.key, known, "known keys"))
		default:
			c.check(m.value, field, at.to(m.key))
		}
	}
}

// section checks a section of modules.
func (c *checker) section(v *value, t reflect.Type, at *path) {
	namespace := reflect.Zero(t).Interface().(section).ModuleNamespace()
	switch {
	case t.Kind() == reflect.Map:
		if v.kind != json.Delim('{') {
			c.mismatch(v, at, `an object of modules by name, such as {"`+example(namespace)+`": {}}`)
			return
		}
		for _, m := range v.members {
			if m.key != idKey {
				c.module(m, at.to(m.key), m.key, namespace)
			}
		}
	case t.Elem().Kind() == reflect.Uint8:
		c.inline(v, at, namespace)
	default:
		if v.kind != json.Delim('[') {
			c.mismatch(v, at, `a list of modules, such as [{"module": "`+example(namespace)+`"}]`)
			return
		}
		for i, item := range v.items {
			c.inline(item, at.item(i), namespace)
		}
	}
}

// inline checks {"module": name, …}.
func (c *checker) inline(v *value, at *path, namespace string) {
	want := `an object that names its module, such as {"module": "` + example(namespace) + `"}`
	if v.kind != json.Delim('{') {
		c.mismatch(v, at, want)
		return
	}
	name := v.member(inlineKey)
	if name == nil {
		c.add(at, v.from, `the key "module" is missing`, "write "+want)
		return
	}
	text, ok := name.kind.(string)
	if !ok {
		c.mismatch(name, at.to(inlineKey), "the name of a module as a string")
		return
	}
	m := member{key: text, from: name.from, value: v}
	c.module(m, at, text, namespace, inlineKey)
}

// module checks a module's configuration.
func (c *checker) module(m member, at *path, name, namespace string, skip ...string) {
	id := strings.TrimPrefix(namespace+"."+name, ".")
	info, err := caddy.GetModule(id)
	if err != nil || info.New == nil {
		what := strings.TrimPrefix(namespace, "xnode.")
		if what == "" {
			what = "app"
		}
		c.add(at, m.from, fmt.Sprintf("there is no %s module %.100q in this binary", what, name),
			suggest(name, names(namespace), "it has"))
		return
	}
	if m.kind == nil {
		c.add(at, m.value.from, "null is no configuration", "write {} for the defaults, or remove the key")
		return
	}
	c.check(m.value, reflect.TypeOf(info.New()), at, skip...)
}

// scalar checks a string, a number or a boolean.
func (c *checker) scalar(v *value, t reflect.Type, at *path) {
	if json.Unmarshal(c.doc.text[v.from:v.to], reflect.New(t).Interface()) != nil {
		c.mismatch(v, at, typeName(t))
	}
}
