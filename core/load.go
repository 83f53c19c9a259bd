// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// InlineKey is the key that names the module inside an entry of a [List] or a [One].
const InlineKey = "module"

// Map is a section of the configuration in which order means nothing: modules
// of kind T by name, {"tcp": {}, "quic": {…}}.
type Map[T any] map[string]json.RawMessage

// List is a section of the configuration whose order is one of preference:
// modules of kind T, [{"module": "tls"}, {"module": "noise"}].
type List[T any] []json.RawMessage

// One is a single module of kind T: {"module": "file", …}.
type One[T any] json.RawMessage

// UnmarshalJSON implements [json.Unmarshaler].
func (o *One[T]) UnmarshalJSON(b []byte) error { return (*json.RawMessage)(o).UnmarshalJSON(b) }

// MarshalJSON implements [json.Marshaler].
func (o One[T]) MarshalJSON() ([]byte, error) { return json.RawMessage(o).MarshalJSON() }

// Loader makes a module from its ID and JSON, provisions and validates it. A
// [caddy.Context] is one.
type Loader interface {
	LoadModuleByID(id string, config json.RawMessage) (any, error)
}

// Loaded is a module and the name the configuration gives it.
type Loaded[T any] struct {
	Name   string
	Module T
}

// Load loads the modules in the order of their names.
func (m Map[T]) Load(l Loader) ([]Loaded[T], error) {
	loaded := make([]Loaded[T], 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		module, err := load[T](l, name, m[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		loaded = append(loaded, Loaded[T]{name, module})
	}
	return loaded, nil
}

// Load loads the modules in their order.
func (s List[T]) Load(l Loader) ([]Loaded[T], error) {
	loaded := make([]Loaded[T], 0, len(s))
	for i, raw := range s {
		one, err := One[T](raw).Load(l)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		loaded = append(loaded, one)
	}
	return loaded, nil
}

// Load loads the module.
func (o One[T]) Load(l Loader) (Loaded[T], error) {
	name, config, err := SplitInline(json.RawMessage(o))
	if err != nil {
		return Loaded[T]{}, err
	}
	module, err := load[T](l, name, config)
	if err != nil {
		return Loaded[T]{}, fmt.Errorf("%s: %w", name, err)
	}
	return Loaded[T]{name, module}, nil
}

// SplitInline takes the module's name out of {"module": name, …} and returns
// it and the rest.
func SplitInline(raw json.RawMessage) (name string, config json.RawMessage, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return "", nil, fmt.Errorf("a module is an object with the key %q: %w", InlineKey, err)
	}
	inline, ok := fields[InlineKey]
	if !ok {
		return "", nil, fmt.Errorf("the key %q, which names the module, is missing", InlineKey)
	}
	if err := json.Unmarshal(inline, &name); err != nil || name == "" {
		return "", nil, fmt.Errorf("%s: want the name of a module, got %s", InlineKey, inline)
	}
	delete(fields, InlineKey)
	config, err = json.Marshal(fields)
	return name, config, err
}

func load[T any](l Loader, name string, config json.RawMessage) (T, error) {
	var zero T
	namespace := Namespace[T]()
	if namespace == "" {
		return zero, errors.New("not a kind of module")
	}
	id := namespace + "." + name
	info, err := caddy.GetModule(id)
	if err != nil {
		return zero, fmt.Errorf("unknown module: %s; this binary has %s", id, inNamespace(namespace))
	}
	config, notes, err := current(config, reflect.TypeOf(info.New()))
	if err != nil {
		return zero, err
	}
	for _, note := range notes {
		caddy.Log().Named(id).Warn(note)
	}
	v, err := l.LoadModuleByID(id, config)
	if err != nil {
		return zero, err
	}
	module, ok := v.(T)
	if !ok {
		return zero, fmt.Errorf("module %s is a %T, not a %v", id, v, reflect.TypeFor[T]())
	}
	return module, nil
}

// inNamespace lists the modules of a namespace.
func inNamespace(namespace string) string {
	var names []string
	for _, m := range caddy.GetModules(namespace) {
		names = append(names, m.ID.Name())
	}
	if len(names) == 0 {
		return "none of this kind"
	}
	return strings.Join(names, ", ")
}

// ModuleNamespace is the namespace of the modules in the section.
func (Map[T]) ModuleNamespace() string { return Namespace[T]() }

// ModuleNamespace is the namespace of the modules in the section.
func (List[T]) ModuleNamespace() string { return Namespace[T]() }

// ModuleNamespace is the namespace of the module.
func (One[T]) ModuleNamespace() string { return Namespace[T]() }
