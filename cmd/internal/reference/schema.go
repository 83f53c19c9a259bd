// SPDX-License-Identifier: Apache-2.0 OR MIT

package reference

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core/host"
)

// The texts that durations and sizes are.
const (
	durationPattern = `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d))*$|^0$`
	sizePattern     = `^([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$`
)

// node is a part of a JSON Schema.
type node map[string]any

// schema makes a JSON Schema of Go types. Structs and modules are definitions,
// made once and referred to.
type schema struct {
	prose prose
	defs  node
}

// Schema returns the JSON Schema, of draft 2020-12, of a module's part of a
// document, or of whole documents if id is empty.
func (r *Reference) Schema(id string) (json.Marshaler, error) {
	s := &schema{r.prose, make(node)}
	var root node
	if id == "" {
		root = s.document()
		root["title"] = "xnode configuration"
	} else {
		info, err := caddy.GetModule(id)
		if err != nil || info.New == nil {
			return nil, fmt.Errorf("there is no module %s in this binary", id)
		}
		root = node{"$ref": s.module(id, ""), "title": id}
	}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$defs"] = s.defs
	return root, nil
}

// MarshalJSON implements [json.Marshaler].
func (n node) MarshalJSON() ([]byte, error) { return json.Marshal(map[string]any(n)) }

// document is a whole document: Caddy's part and the apps.
func (s *schema) document() node {
	root := s.object(host.ShapeOf(reflect.TypeFor[caddy.Config]()))
	properties := root["properties"].(node)
	properties["$schema"] = node{"type": "string", "description": "where the schema of this document is, for editors"}
	apps := s.byName("")
	apps["description"] = "what is to run: the node is the app xnode"
	properties["apps"] = apps
	return root
}

// of is what a value of a type is.
func (s *schema) of(t reflect.Type) node {
	shape := host.ShapeOf(t)
	switch shape.Kind {
	case host.Duration:
		return node{"type": "string", "pattern": durationPattern}
	case host.Size:
		return node{"type": "string", "pattern": sizePattern}
	case host.String, host.Text:
		return node{"type": "string"}
	case host.Bytes:
		return node{"type": "string", "contentEncoding": "base64"}
	case host.Boolean:
		return node{"type": "boolean"}
	case host.Number:
		return node{"type": "number"}
	case host.Integer:
		return integer(shape.Type)
	case host.List:
		n := node{"type": "array", "items": s.of(shape.Elem)}
		if shape.Type.Kind() == reflect.Array {
			n["maxItems"] = shape.Type.Len()
		}
		return n
	case host.Map:
		return node{"type": "object", "additionalProperties": s.of(shape.Elem)}
	case host.Object:
		if shape.Type.Name() == "" {
			return s.object(shape)
		}
		name := strings.TrimPrefix(pathOf(shape.Type), "github.com/xnode-p2p/xnode/")
		return s.define(name, func() node { return s.object(shape) })
	case host.ModuleMap:
		return s.byName(shape.Namespace)
	case host.ModuleList:
		return node{"type": "array", "items": s.inline(shape.Namespace)}
	case host.ModuleOne:
		return s.inline(shape.Namespace)
	}
	return node{}
}

// integer is a number that fits into a type.
func integer(t reflect.Type) node {
	n := node{"type": "integer"}
	switch t.Kind() {
	case reflect.Uint, reflect.Uint64:
		n["minimum"] = 0
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		n["minimum"], n["maximum"] = 0, uint64(1)<<t.Bits()-1
	case reflect.Int8, reflect.Int16, reflect.Int32:
		top := int64(1) << (t.Bits() - 1)
		n["minimum"], n["maximum"] = -top, top-1
	}
	return n
}

// define makes a definition unless there is one already, and refers to it.
func (s *schema) define(name string, build func() node) node {
	if _, ok := s.defs[name]; !ok {
		s.defs[name] = node{} // what refers to itself finds it
		s.defs[name] = build()
	}
	return node{"$ref": "#/$defs/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)}
}

// object is a struct.
func (s *schema) object(shape host.Shape) node {
	properties := node{"@id": node{"type": []string{"string", "number"}, "description": "a name for the admin API"}}
	for _, f := range shape.Fields {
		n := s.of(f.Type)
		if items, ok := n["items"].(node); ok {
			oneOf(items, f.OneOf)
		} else {
			oneOf(n, f.OneOf)
		}
		text := s.prose.Types[pathOf(f.Owner)].Fields[f.Name]
		what, def := split(text, f.Name, f.Key)
		if v, ok := constant(f.Type, def); ok {
			n["default"] = v
		} else if def != "" {
			what += "\nDefault: " + def
		}
		if what != "" {
			n["description"] = what
		}
		if f.Deprecated != "" {
			n["deprecated"] = true
		}
		properties[f.Key] = n
		if f.Was != "" {
			properties[f.Was] = node{"deprecated": true, "description": "it is called " + f.Key + " now"}
		}
	}
	return node{"type": "object", "properties": properties, "additionalProperties": false}
}

// oneOf says which texts a string may be, if only some may.
func oneOf(n node, texts []string) {
	if texts != nil {
		n["enum"] = texts
	}
}

// constant reads a default that is a value and not a description.
func constant(t reflect.Type, text string) (any, bool) {
	for _, candidate := range []string{text, `"` + text + `"`} {
		into := reflect.New(t)
		if text == "" || json.Unmarshal([]byte(candidate), into.Interface()) != nil {
			continue
		}
		kind := host.ShapeOf(t).Kind
		// Words are a description of a string, unless they stand in quotes.
		if candidate != text && kind != host.Duration && kind != host.Size {
			continue
		}
		return json.RawMessage(candidate), true
	}
	return nil, false
}

// module is the reference to a module's definition. One that stands in a list
// has the key "module" too, which is then its name.
func (s *schema) module(id, inline string) string {
	name := id
	if inline != "" {
		name += " in a list"
	}
	ref := s.define(name, func() node {
		info, err := caddy.GetModule(id)
		if err != nil || info.New == nil {
			return node{}
		}
		shape := host.ShapeOf(reflect.TypeOf(info.New()))
		n := node{}
		if shape.Kind == host.Object {
			n = s.object(shape)
			if inline != "" {
				n["properties"].(node)["module"] = node{"const": inline}
			}
		}
		if doc := s.prose.Packages[shape.Type.PkgPath()]; doc != "" {
			n["description"] = strings.TrimPrefix(plain(doc), "Package ")
		}
		return n
	})
	return ref["$ref"].(string)
}

// byName is an object of modules by name.
func (s *schema) byName(namespace string) node {
	properties := node{"@id": node{"type": []string{"string", "number"}}}
	for _, m := range caddy.GetModules(namespace) {
		properties[m.ID.Name()] = node{"$ref": s.module(string(m.ID), "")}
	}
	return node{"type": "object", "properties": properties, "additionalProperties": false}
}

// inline is an object that names its module.
func (s *schema) inline(namespace string) node {
	return s.define("a module of "+namespace, func() node {
		then := make(map[string]node)
		for _, m := range caddy.GetModules(namespace) {
			name := m.ID.Name()
			then[name] = node{
				"if":   node{"properties": node{"module": node{"const": name}}, "required": []string{"module"}},
				"then": node{"$ref": s.module(string(m.ID), name)},
			}
		}
		names := slices.Sorted(maps.Keys(then))
		n := node{"type": "object", "required": []string{"module"}, "properties": node{"module": node{"enum": names}}}
		if len(names) == 0 {
			return node{"not": node{}}
		}
		var all []node
		for _, name := range names {
			all = append(all, then[name])
		}
		n["allOf"] = all
		return n
	})
}
