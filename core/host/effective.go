// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

// Setting is a key of a node's configuration.
type Setting struct {
	// Path is where it stands below apps.xnode, Module whose key it is, and Key
	// the path within that.
	Path   []string
	Module string
	Key    string
	// Value is what it is, and Default what it would be without being there;
	// nil means that there is none, or that it is not known.
	Value, Default json.RawMessage
}

// Effective lists what the keys of a node's configuration are, those included
// that have their defaults, in the order of the types. It provisions modules and
// starts nothing.
func Effective(config json.RawMessage) ([]Setting, error) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	e := &effective{loader: core.Loader(ctx)}
	node, err := provisioned(ctx, config)
	if err != nil {
		return nil, err
	}
	without, err := provisioned(ctx, json.RawMessage("{}"))
	if err != nil {
		without = reflect.Value{}
	}
	err = e.object(nil, 0, "xnode", node, without)
	return e.list, err
}

// provisioned is a node's configuration with its defaults.
func provisioned(l core.Loader, config json.RawMessage) (reflect.Value, error) {
	c := new(Config)
	err := caddy.StrictUnmarshalJSON(caddy.RemoveMetaFields(config), c)
	if err == nil {
		_, err = c.Plan(l)
	}
	return reflect.ValueOf(c).Elem(), err
}

type effective struct {
	loader core.Loader
	list   []Setting
}

// module lists what a module that stands at a path is told, beside what it
// would be told with an empty configuration.
func (e *effective) module(at []string, id string, config json.RawMessage) error {
	v, err := e.loader.LoadModuleByID(id, config)
	if err != nil {
		return err
	}
	var without reflect.Value
	if d, err := e.loader.LoadModuleByID(id, json.RawMessage("{}")); err == nil {
		without = reflect.ValueOf(d).Elem()
	}
	value := reflect.ValueOf(v)
	if value.Kind() != reflect.Pointer || ShapeOf(value.Type()).Kind != Object {
		return nil
	}
	return e.object(at, len(at), id, value.Elem(), without)
}

// object lists the keys of an object at a path, of which the first root steps
// lead to the module.
func (e *effective) object(at []string, root int, id string, v, without reflect.Value) error {
	var errs []error
	for _, f := range FieldsOf(v.Type()) {
		value, def := fieldByName(v, f), fieldByName(without, f)
		path := append(at[:len(at):len(at)], f.Key)
		shape := ShapeOf(f.Type)
		switch {
		case shape.Kind == Object && value.IsValid():
			errs = append(errs, e.object(path, root, id, value, def))
		default:
			e.list = append(e.list, Setting{path, id, strings.Join(path[root:], "."), encode(value), encode(def)})
			errs = append(errs, e.guests(path, shape, value))
		}
	}
	return errors.Join(errs...)
}

// guests lists the keys of the modules of a section.
func (e *effective) guests(at []string, s Shape, v reflect.Value) error {
	if s.Namespace == "" || !v.IsValid() || v.Len() == 0 {
		return nil
	}
	inline := func(path []string, raw json.RawMessage) error {
		name, config, err := core.SplitInline(raw)
		if err != nil {
			return err
		}
		return e.module(path, s.Namespace+"."+name, config)
	}
	switch s.Kind {
	case ModuleOne:
		return inline(at, json.RawMessage(v.Bytes()))
	case ModuleList:
		var errs []error
		for i := range v.Len() {
			errs = append(errs, inline(append(at[:len(at):len(at)], fmt.Sprint(i)), json.RawMessage(v.Index(i).Bytes())))
		}
		return errors.Join(errs...)
	case ModuleMap:
		var errs []error
		for _, name := range sortedKeys(v) {
			errs = append(errs, e.module(append(at[:len(at):len(at)], name), s.Namespace+"."+name, json.RawMessage(v.MapIndex(reflect.ValueOf(name)).Bytes())))
		}
		return errors.Join(errs...)
	}
	return nil
}

func sortedKeys(m reflect.Value) []string {
	var keys []string
	for _, k := range m.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	return keys
}

// fieldByName is the value of a field, without pointers. It is none if one of
// them is nil.
func fieldByName(v reflect.Value, f Field) reflect.Value {
	if !v.IsValid() {
		return v
	}
	sf, ok := v.Type().FieldByName(f.Name)
	if !ok {
		return reflect.Value{}
	}
	value, err := v.FieldByIndexErr(sf.Index)
	if err != nil {
		return reflect.Value{}
	}
	for value.Kind() == reflect.Pointer {
		if value.IsNil() {
			return reflect.Value{}
		}
		value = value.Elem()
	}
	return value
}

// encode is a value as JSON; nil if it says nothing.
func encode(v reflect.Value) json.RawMessage {
	if !v.IsValid() {
		return nil
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		if v.IsNil() {
			return nil
		}
	case reflect.String:
		if v.Len() == 0 {
			return nil
		}
	}
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return nil
	}
	return text
}
