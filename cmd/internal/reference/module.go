// SPDX-License-Identifier: Apache-2.0 OR MIT

package reference

import (
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core/host"
)

// App is the ID of the node itself, whose keys are those of the document.
const App = "xnode"

// Reference is the manual of a binary.
type Reference struct{ prose prose }

// New returns the manual of this binary with texts of docgen's.
func New(texts ...[]byte) (*Reference, error) {
	r := &Reference{prose{make(map[string]string), make(map[string]typeText)}}
	for _, text := range texts {
		if err := r.prose.add(text); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Module is what there is to know of a module.
type Module struct {
	ID      string `json:"id"`
	Package string `json:"package"`
	// Doc is the module's comment in the syntax of Go's.
	Doc string `json:"doc,omitempty"`
	// Fields are the keys of its part of a document.
	Fields []Field `json:"fields"`
}

// Field is a key.
type Field struct {
	Key  string `json:"key"`
	Type string `json:"type"`
	// What says what it is and in which unit, Default what it is without the key.
	What    string `json:"what,omitempty"`
	Default string `json:"default,omitempty"`
	// Namespace is that of the modules that stand here, if any do.
	Namespace string `json:"namespace,omitempty"`
	// Fields are the keys of an object, of the items of a list of them or of
	// the values of a map.
	Fields []Field `json:"fields,omitempty"`
}

// Modules describes the node and its modules, in the order of their IDs. Caddy's
// own have a manual of their own.
func (r *Reference) Modules() []Module {
	var list []Module
	for _, id := range caddy.Modules() {
		if m, ok := r.Module(id); ok {
			list = append(list, m)
		}
	}
	return list
}

// Module describes one.
func (r *Reference) Module(id string) (Module, bool) {
	info, err := caddy.GetModule(id)
	if err != nil || info.New == nil {
		return Module{}, false
	}
	shape := host.ShapeOf(reflect.TypeOf(info.New()))
	doc, documented := r.prose.Packages[shape.Type.PkgPath()]
	if id != App && !strings.HasPrefix(id, App+".") && !documented {
		return Module{}, false
	}
	doc = strings.TrimPrefix(doc, "Package ")
	if id == App {
		doc = r.prose.Types[pathOf(reflect.TypeFor[host.Config]())].Doc
	}
	if doc == "" {
		doc = r.prose.Types[pathOf(shape.Type)].Doc
	}
	return Module{ID: id, Package: shape.Type.PkgPath(), Doc: doc, Fields: r.fields(shape, nil)}, true
}

// fields describes the keys of an object. The types in around contain it.
func (r *Reference) fields(s host.Shape, around []reflect.Type) []Field {
	list := []Field{}
	if slices.Contains(around, s.Type) {
		return list
	}
	around = append(around, s.Type)
	for _, f := range s.Fields {
		shape := host.ShapeOf(f.Type)
		what, def := split(r.prose.Types[pathOf(f.Owner)].Fields[f.Name], f.Name, f.Key)
		if f.Deprecated != "" {
			what = "Deprecated: " + f.Deprecated + ".\n" + what
		}
		field := Field{Key: f.Key, Type: typeName(shape), What: what, Default: def, Namespace: shape.Namespace}
		for shape.Kind == host.List || shape.Kind == host.Map {
			shape = host.ShapeOf(shape.Elem)
		}
		if shape.Kind == host.Object {
			field.Fields = r.fields(shape, around)
			if field.What == "" {
				field.What = plain(r.prose.Types[pathOf(shape.Type)].Doc)
			}
		}
		list = append(list, field)
	}
	return list
}

// typeName says what JSON a shape is, and which strings.
func typeName(s host.Shape) string {
	switch s.Kind {
	case host.Duration:
		return "duration"
	case host.Size:
		return "size"
	case host.String, host.Text:
		return "string"
	case host.Bytes:
		return "base64"
	case host.Integer:
		return "integer"
	case host.Number:
		return "number"
	case host.Boolean:
		return "boolean"
	case host.List:
		return "list of " + typeName(host.ShapeOf(s.Elem))
	case host.Map:
		return "map of " + typeName(host.ShapeOf(s.Elem))
	case host.Object:
		return "object"
	case host.ModuleMap:
		return "modules by name"
	case host.ModuleList:
		return "list of modules"
	case host.ModuleOne:
		return "module"
	}
	return "JSON"
}

// Walk calls f with the path of every key and what is written about it.
func (m Module) Walk(f func(path, what string)) {
	walk(m.Fields, "", func(path string, field Field) { f(path, field.What) })
}
