// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package yaml makes configurations of YAML: the keys are those of the JSON
// document, with comments and anchors.
//
// Spec: https://yaml.org/spec/1.2.2/
//
//	xnode adapt node.yaml | xnode run -c -
//
// Keys are strings, and what YAML has beyond JSON, such as times and binary
// values, is refused.
package yaml

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/warning"
	"go.yaml.in/yaml/v3"
)

func init() { caddy.RegisterModule(Adapter{}) }

// maxDepth bounds how deep values stand within each other: deeper ones are in no
// document, and anchors can make much of little.
const maxDepth = 64

// maxValues bounds how many values a document has once its anchors are written
// out.
const maxValues = 1 << 20

// Adapter is the caddy.adapters.yaml module.
type Adapter struct{}

// CaddyModule implements [caddy.Module].
func (Adapter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.adapters.yaml", New: func() caddy.Module { return new(Adapter) }}
}

// Adapt makes JSON of YAML, as an adapter of Caddy's does.
func (Adapter) Adapt(body []byte, _ map[string]any) ([]byte, []warning.Warning, error) {
	d := yaml.NewDecoder(bytes.NewReader(body))
	var root yaml.Node
	if err := d.Decode(&root); errors.Is(err, io.EOF) {
		return nil, nil, errors.New("the document is empty")
	} else if err != nil {
		return nil, nil, err
	}
	var second yaml.Node
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("line %d: there is a second document; write one", second.Line)
	}
	if len(root.Content) != 1 {
		return nil, nil, errors.New("the document is empty")
	}
	w := &writer{}
	if err := w.value(root.Content[0], 0); err != nil {
		return nil, nil, err
	}
	return w.out.Bytes(), nil, nil
}

// writer writes YAML as JSON, keys in their order.
type writer struct {
	out    bytes.Buffer
	values int
}

func (w *writer) value(n *yaml.Node, depth int) error {
	if w.values++; w.values > maxValues || depth > maxDepth {
		return fmt.Errorf("line %d: more than %d values or %d levels; make the document smaller", n.Line, maxValues, maxDepth)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return w.value(n.Alias, depth+1)
	case yaml.MappingNode:
		return w.mapping(n, depth)
	case yaml.SequenceNode:
		w.out.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				w.out.WriteByte(',')
			}
			if err := w.value(item, depth+1); err != nil {
				return err
			}
		}
		w.out.WriteByte(']')
		return nil
	}
	return w.scalar(n)
}

func (w *writer) mapping(n *yaml.Node, depth int) error {
	w.out.WriteByte('{')
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
			return fmt.Errorf("line %d: the key %q is no string; put it in quotes, and write what << merges out", key.Line, key.Value)
		}
		if i > 0 {
			w.out.WriteByte(',')
		}
		if err := w.encode(key, key.Value); err != nil {
			return err
		}
		w.out.WriteByte(':')
		if err := w.value(n.Content[i+1], depth+1); err != nil {
			return err
		}
	}
	w.out.WriteByte('}')
	return nil
}

func (w *writer) scalar(n *yaml.Node) error {
	switch n.ShortTag() {
	case "!!str", "!!bool", "!!int", "!!float", "!!null":
		var v any
		if err := n.Decode(&v); err != nil {
			return fmt.Errorf("line %d: %w", n.Line, err)
		}
		return w.encode(n, v)
	}
	return fmt.Errorf("line %d: %.40q is a %s, which configurations have none of; put it in quotes", n.Line, n.Value, n.ShortTag()[2:])
}

func (w *writer) encode(n *yaml.Node, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	w.out.Write(text)
	return nil
}
