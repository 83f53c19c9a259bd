// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

// Load makes a module as a node does: from the registry, with strictly decoded
// JSON, provisioned and validated. T is the module's kind, [core.RawTransport],
// [core.MuxedTransport], or a pointer to the module's own type. The module logs
// to the test, and is cleaned up with it.
func Load[T any](t testing.TB, name, config string) (T, error) {
	t.Helper()
	var zero T
	namespace := namespaceOf[T]()
	if namespace == "" {
		return zero, fmt.Errorf("%v is no kind of module", reflect.TypeFor[T]())
	}
	v, err := loadID(t, namespace+"."+name, config)
	if err != nil {
		return zero, fmt.Errorf("%s: %w", name, err)
	}
	module, ok := v.(T)
	if !ok {
		return zero, fmt.Errorf("%s: a %T is no %v", name, v, reflect.TypeFor[T]())
	}
	return module, nil
}

// loadID is [Load] for a whole ID.
func loadID(t testing.TB, id, config string) (any, error) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	logs := new(core.Logs)
	v, err := logs.WithLogs(ctx).LoadModuleByID(id, json.RawMessage(config))
	if err != nil {
		return nil, err
	}
	logs.Redirect(func(caddy.Module) slog.Handler {
		return slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})
	})
	return v, nil
}

// MustLoad is [Load] for a configuration that must be good.
func MustLoad[T any](t testing.TB, name, config string) T {
	t.Helper()
	module, err := Load[T](t, name, config)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// namespaceOf returns where modules that are a T are registered.
func namespaceOf[T any]() string {
	t := reflect.TypeFor[T]()
	switch t {
	case reflect.TypeFor[core.RawTransport](), reflect.TypeFor[core.MuxedTransport]():
		return core.Namespace[core.Transport]()
	}
	if t.Kind() == reflect.Pointer {
		if m, ok := reflect.New(t.Elem()).Interface().(caddy.Module); ok {
			return m.CaddyModule().ID.Namespace()
		}
	}
	return core.Namespace[T]()
}

// Config is a row of [TestConfigs].
type Config struct {
	Name string
	// JSON is the module's configuration.
	JSON string
	// WantErr is what the error must contain; empty means that the
	// configuration must load.
	WantErr string
}

// TestConfigs loads the configurations of a module of kind T, good and bad ones.
func TestConfigs[T any](t *testing.T, module string, configs []Config) {
	for _, c := range configs {
		t.Run(c.Name, func(t *testing.T) {
			_, err := Load[T](t, module, c.JSON)
			switch {
			case c.WantErr == "" && err != nil:
				t.Errorf("%s: %v", c.JSON, err)
			case c.WantErr != "" && err == nil:
				t.Errorf("%s loads, want an error with %q", c.JSON, c.WantErr)
			case c.WantErr != "" && !strings.Contains(err.Error(), c.WantErr):
				t.Errorf("%s: %v, want an error with %q", c.JSON, err, c.WantErr)
			}
		})
	}
}
