// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package toml makes configurations of TOML: the keys are those of the JSON
// document.
//
// Spec: https://toml.io/en/v1.0.0
//
//	xnode adapt node.toml | xnode run -c -
//
// Dates and times are refused: configurations have none.
package toml

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/warning"
)

func init() { caddy.RegisterModule(Adapter{}) }

// Adapter is the caddy.adapters.toml module.
type Adapter struct{}

// CaddyModule implements [caddy.Module].
func (Adapter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.adapters.toml", New: func() caddy.Module { return new(Adapter) }}
}

// Adapt makes JSON of TOML, as an adapter of Caddy's does.
func (Adapter) Adapt(body []byte, _ map[string]any) ([]byte, []warning.Warning, error) {
	var v map[string]any
	if err := toml.Unmarshal(body, &v); err != nil {
		return nil, nil, err
	}
	if err := check(v); err != nil {
		return nil, nil, err
	}
	out, err := json.Marshal(v)
	return out, nil, err
}

// check refuses what JSON has not.
func check(v any) error {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if err := check(value); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	case []map[string]any:
		for _, item := range v {
			if err := check(item); err != nil {
				return err
			}
		}
	case []any:
		for _, item := range v {
			if err := check(item); err != nil {
				return err
			}
		}
	case time.Time:
		return fmt.Errorf("%v is a time, which configurations have none of; put it in quotes", v)
	}
	return nil
}
