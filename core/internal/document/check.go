// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	// maxErrors bounds what is reported at once.
	maxErrors = 20
)

// section is a field that holds modules.
type section interface{ ModuleNamespace() string }

var (
	sectionType = reflect.TypeFor[section]()
	jsonType    = reflect.TypeFor[json.Unmarshaler]()
	textType    = reflect.TypeFor[encoding.TextUnmarshaler]()
	rawType     = reflect.TypeFor[json.RawMessage]()
)

// Check compares a whole document with what Caddy and the modules in this
// binary understand. It returns up to 20 mistakes, each an [*Error], joined.
func (d *Document) Check() error {
	c := checker{doc: d}
	c.check(d.root, reflect.TypeFor[caddy.Config](), "", "apps")
	if apps := d.root.member("apps"); apps != nil && apps.kind == json.Delim('{') {
		for _, m := range apps.members {
			c.module(m, "/apps/"+escape(m.key), m.key, "")
		}
	} else if apps != nil {
		c.mismatch(apps, "/apps", "an object")
	}
	c.admin()
	c.names(d.root, "", make(map[string]string))
	return c.result()
}

// checker collects mistakes.
type checker struct {
	doc    *Document
	errors []error // of type *Error
}

func (c *checker) result() error {
	slices.SortStableFunc(c.errors, func(a, b error) int {
		x, y := a.(*Error), b.(*Error)
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column))
	})
	if len(c.errors) > maxErrors {
		more := fmt.Errorf("and %d more", len(c.errors)-maxErrors)
		c.errors = append(c.errors[:maxErrors], more)
	}
	return errors.Join(c.errors...)
}

func (c *checker) add(pointer string, offset int, problem, remedy string) {
	c.errors = append(c.errors, c.doc.errorAt(pointer, offset, problem, remedy))
}

func (c *checker) mismatch(v *value, pointer, want string) {
	c.add(pointer, v.from, "want "+want+", got "+describe(v), "write "+want)
}

// check compares a value with the type it will be decoded into. Members in
// skip are left to the caller.
func (c *checker) check(v *value, t reflect.Type, pointer string, skip ...string) {
	for t.Kind() == reflect.Pointer && !t.Implements(jsonType) {
		t = t.Elem()
	}
	if v.kind == nil && t.Kind() != reflect.Struct {
		c.add(pointer, v.from, "null says nothing", "remove the key to have its default")
		return
	}
	switch {
	case t.Implements(sectionType):
		c.section(v, t, pointer)
	case t == rawType || t.Kind() == reflect.Interface:
	case implements(t, jsonType), implements(t, textType):
		c.decode(v, t, pointer)
	case t.Kind() == reflect.Struct:
		c.object(v, t, pointer, skip)
	case t.Kind() == reflect.Map:
		if v.kind != json.Delim('{') {
			c.mismatch(v, pointer, "an object")
			return
		}
		for _, m := range v.members {
			c.check(m.value, t.Elem(), pointer+"/"+escape(m.key))
		}
	case t.Kind() == reflect.Slice:
		if v.kind != json.Delim('[') {
			c.mismatch(v, pointer, "a list")
			return
		}
		for i, item := range v.items {
			c.check(item, t.Elem(), fmt.Sprintf("%s/%d", pointer, i))
		}
	default:
		c.scalar(v, t, pointer)
	}
}

func implements(t, iface reflect.Type) bool {
	return t.Implements(iface) || reflect.PointerTo(t).Implements(iface)
}

// decode lets the type itself judge a value.
func (c *checker) decode(v *value, t reflect.Type, pointer string) {
	err := json.Unmarshal(c.doc.text[v.from:v.to], reflect.New(t).Interface())
	if err == nil {
		return
	}
	problem, remedy := splitRemedy(err.Error())
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) {
		problem, remedy = "got "+describe(v), "write "+typeName(t)
	}
	c.add(pointer, v.from, problem, remedy)
}

// object compares an object's keys with a struct's fields.
func (c *checker) object(v *value, t reflect.Type, pointer string, skip []string) {
	if v.kind != json.Delim('{') {
		c.mismatch(v, pointer, "an object")
		return
	}
	fields := fieldsOf(t)
	for _, m := range v.members {
		at := pointer + "/" + escape(m.key)
		field, ok := fields[m.key]
		switch {
		case m.key == idKey || slices.Contains(skip, m.key):
		case !ok:
			known := slices.Sorted(maps.Keys(fields))
			c.add(at, m.from, fmt.Sprintf("unknown key %q", m.key), suggest(m.key, known, "known keys"))
		default:
			c.check(m.value, field, at)
		}
	}
}

// fieldsOf lists the JSON keys of a struct and their types.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := make(map[string]reflect.Type)
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			maps.Copy(fields, fieldsOf(f.Type))
		case !f.IsExported():
		case name == "":
			fields[f.Name] = f.Type
		default:
			fields[name] = f.Type
		}
	}
	return fields
}

// section checks a section of modules.
func (c *checker) section(v *value, t reflect.Type, pointer string) {
	namespace := reflect.Zero(t).Interface().(section).ModuleNamespace()
	switch {
	case t.Kind() == reflect.Map:
		if v.kind != json.Delim('{') {
			c.mismatch(v, pointer, `an object of modules by name, such as {"`+example(namespace)+`": {}}`)
			return
		}
		for _, m := range v.members {
			if m.key != idKey {
				c.module(m, pointer+"/"+escape(m.key), m.key, namespace)
			}
		}
	case t.Elem().Kind() == reflect.Uint8:
		c.inline(v, pointer, namespace)
	default:
		if v.kind != json.Delim('[') {
			c.mismatch(v, pointer, `a list of modules, such as [{"module": "`+example(namespace)+`"}]`)
			return
		}
		for i, item := range v.items {
			c.inline(item, fmt.Sprintf("%s/%d", pointer, i), namespace)
		}
	}
}

// inline checks {"module": name, …}.
func (c *checker) inline(v *value, pointer, namespace string) {
	want := `an object that names its module, such as {"module": "` + example(namespace) + `"}`
	if v.kind != json.Delim('{') {
		c.mismatch(v, pointer, want)
		return
	}
	name := v.member(inlineKey)
	if name == nil {
		c.add(pointer, v.from, `the key "module" is missing`, "write "+want)
		return
	}
	text, ok := name.kind.(string)
	if !ok {
		c.mismatch(name, pointer+"/"+inlineKey, "the name of a module as a string")
		return
	}
	m := member{key: text, from: name.from, value: v}
	c.module(m, pointer, text, namespace, inlineKey)
}

// module checks a module's configuration.
func (c *checker) module(m member, pointer, name, namespace string, skip ...string) {
	id := strings.TrimPrefix(namespace+"."+name, ".")
	info, err := caddy.GetModule(id)
	if err != nil || info.New == nil {
		what := strings.TrimPrefix(namespace, "xnode.")
		if what == "" {
			what = "app"
		}
		c.add(pointer, m.from, fmt.Sprintf("there is no %s module %q in this binary", what, name),
			suggest(name, names(namespace), "it has"))
		return
	}
	if m.kind == nil {
		c.add(pointer, m.value.from, "null is no configuration", "write {} for the defaults, or remove the key")
		return
	}
	c.check(m.value, reflect.TypeOf(info.New()), pointer, skip...)
}

// scalar checks a string, a number or a boolean.
func (c *checker) scalar(v *value, t reflect.Type, pointer string) {
	if json.Unmarshal(c.doc.text[v.from:v.to], reflect.New(t).Interface()) != nil {
		c.mismatch(v, pointer, typeName(t))
	}
}
