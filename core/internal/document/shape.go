// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"reflect"
	"slices"
	"strings"

	"github.com/xnode-p2p/xnode/core"
)

// Kind is a kind of JSON that a Go type takes.
type Kind int

// The kinds. Text is a string that the type itself reads; Custom is JSON that it
// reads itself. ModuleMap, ModuleList and ModuleOne are sections of modules.
const (
	Any Kind = iota
	Custom
	Text
	String
	Integer
	Number
	Boolean
	Bytes
	Duration
	Size
	List
	Map
	Object
	ModuleMap
	ModuleList
	ModuleOne
)

// Shape is what JSON a Go type takes, one level deep.
type Shape struct {
	Kind Kind
	// Type is the type, without pointers.
	Type reflect.Type
	// Elem is the type of the items of a List and of the values of a Map.
	Elem reflect.Type
	// Fields are the keys of an Object.
	Fields []Field
	// Namespace is that of the modules in a section.
	Namespace string
}

// Field is a key of an object.
type Field struct {
	Key string
	// Name is that of the Go field, and Owner the struct it is in, which may
	// be embedded in the one that was asked about.
	Name  string
	Owner reflect.Type
	Type  reflect.Type
	core.FieldTag
}

// ShapeOf returns the shape of a type: what [Document.Check] holds documents to.
func ShapeOf(t reflect.Type) Shape {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s := Shape{Type: t}
	switch {
	case t.Implements(sectionType):
		s.Namespace = reflect.Zero(t).Interface().(section).ModuleNamespace()
		s.Kind = ModuleList
		if t.Kind() == reflect.Map {
			s.Kind = ModuleMap
		} else if t.Elem().Kind() == reflect.Uint8 {
			s.Kind = ModuleOne
		}
	case t == rawType || t.Kind() == reflect.Interface:
		s.Kind = Any
	case t == reflect.TypeFor[core.Duration]():
		s.Kind = Duration
	case t == reflect.TypeFor[core.Size]():
		s.Kind = Size
	case implements(t, jsonType) && !implements(t, keysType):
		s.Kind = Custom
	case implements(t, textType):
		s.Kind = Text
	case t.Kind() == reflect.Struct:
		s.Kind, s.Fields = Object, FieldsOf(t)
	case t.Kind() == reflect.Map:
		s.Kind, s.Elem = Map, t.Elem()
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		s.Kind = Bytes
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Array:
		s.Kind, s.Elem = List, t.Elem()
	case t.Kind() == reflect.String:
		s.Kind = String
	case t.Kind() == reflect.Bool:
		s.Kind = Boolean
	case t.Kind() == reflect.Float32, t.Kind() == reflect.Float64:
		s.Kind = Number
	default:
		s.Kind = Integer
	}
	return s
}

// FieldsOf lists the JSON keys of a struct in the order of its fields. A key of
// the struct itself hides one of an embedded struct.
func FieldsOf(t reflect.Type) []Field { return fieldsOf(t, nil) }

// fieldsOf is FieldsOf for a struct that those in around embed.
func fieldsOf(t reflect.Type, around []reflect.Type) []Field {
	var list []Field
	own := make(map[string]bool)
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case f.Tag.Get("json") == "-":
		case f.Anonymous && name == "" && inner.Kind() == reflect.Struct:
			if !slices.Contains(around, inner) {
				list = append(list, fieldsOf(inner, append(around, t))...)
			}
		case !f.IsExported():
		default:
			if name == "" {
				name = f.Name
			}
			own[name] = true
			list = append(list, Field{name, f.Name, t, f.Type, core.TagOf(f)})
		}
	}
	return slices.DeleteFunc(list, func(f Field) bool { return own[f.Key] && f.Owner != t })
}
