// SPDX-License-Identifier: Apache-2.0 OR MIT

package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"
)

const before = `{"apps":{"xnode":{"listen":["a","b"],"limits":{"streams":1},"x/y":1}},"m":[[1,2],[3]]}`

// change applies an edit to a document and returns the new one and the status.
func change(t *testing.T, method, path, value string) (after string, status int) {
	t.Helper()
	u, err := url.Parse("http://xnode/config" + path)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := stepsOf(u)
	if err != nil {
		return before, http.StatusBadRequest
	}
	document, err := decode([]byte(before))
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if value != "" {
		if v, err = decode([]byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	root := map[string]any{"config": document}
	err = edit(root, append([]string{"config"}, steps...), method, v)
	text, marshal := json.Marshal(root["config"])
	if marshal != nil {
		t.Fatal(marshal)
	}
	var failure caddy.APIError
	if errors.As(err, &failure) {
		return string(text), failure.HTTPStatus
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text), http.StatusOK
}

func TestEdit(t *testing.T) {
	const head, tail = `{"apps":{"xnode":{"limits":{"streams":1},"listen":`, `,"x/y":1}},"m":[[1,2],[3]]}`
	for name, test := range map[string]struct{ method, path, value, want string }{
		"append":        {"POST", "/apps/xnode/listen", `"c"`, head + `["a","b","c"]` + tail},
		"append all":    {"POST", "/apps/xnode/listen/...", `["c","d"]`, head + `["a","b","c","d"]` + tail},
		"insert":        {"PUT", "/apps/xnode/listen/0", `"c"`, head + `["c","a","b"]` + tail},
		"insert last":   {"PUT", "/apps/xnode/listen/2", `"c"`, head + `["a","b","c"]` + tail},
		"replace item":  {"PATCH", "/apps/xnode/listen/1", `"c"`, head + `["a","c"]` + tail},
		"remove item":   {"DELETE", "/apps/xnode/listen/0", "", head + `["b"]` + tail},
		"replace":       {"PATCH", "/apps/xnode/listen", `["z"]`, head + `["z"]` + tail},
		"set":           {"POST", "/apps/xnode/limits", `{"streams":2}`, `{"apps":{"xnode":{"limits":{"streams":2},"listen":["a","b"],"x/y":1}},"m":[[1,2],[3]]}`},
		"new, deep":     {"PUT", "/apps/xnode/dial/backoff", `"1s"`, `{"apps":{"xnode":{"dial":{"backoff":"1s"},"limits":{"streams":1},"listen":["a","b"],"x/y":1}},"m":[[1,2],[3]]}`},
		"key with /":    {"PATCH", "/apps/xnode/x%2Fy", `2`, `{"apps":{"xnode":{"limits":{"streams":1},"listen":["a","b"],"x/y":2}},"m":[[1,2],[3]]}`},
		"list in list":  {"PATCH", "/m/0/1", `9`, `{"apps":{"xnode":{"limits":{"streams":1},"listen":["a","b"],"x/y":1}},"m":[[1,9],[3]]}`},
		"big number":    {"PATCH", "/apps/xnode/x%2Fy", `12345678901234567890`, `{"apps":{"xnode":{"limits":{"streams":1},"listen":["a","b"],"x/y":12345678901234567890}},"m":[[1,2],[3]]}`},
		"all":           {"POST", "/", `{}`, `{}`},
		"remove object": {"DELETE", "/apps/xnode", "", `{"apps":{},"m":[[1,2],[3]]}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, status := change(t, test.method, test.path, test.value)
			if diff := cmp.Diff(test.want, got); diff != "" || status != http.StatusOK {
				t.Errorf("status %d, -want +got:\n%s", status, diff)
			}
		})
	}
}

// A path names one thing, and there is one way to write it.
func TestEvil_X2_PathsAreCanonical(t *testing.T) {
	for path, want := range map[string]int{
		"/apps/xnode/listen/00":     http.StatusNotFound,
		"/apps/xnode/listen/-1":     http.StatusNotFound,
		"/apps/xnode/listen/+1":     http.StatusNotFound,
		"/apps/xnode/listen/%20":    http.StatusNotFound,
		"/apps/xnode/listen/1e0":    http.StatusNotFound,
		"/apps/xnode/listen/2":      http.StatusNotFound,
		"/apps/xnode/listen/0x1":    http.StatusNotFound,
		"/apps/xnode/listen/a":      http.StatusNotFound,
		"/apps//xnode":              http.StatusBadRequest,
		"/apps/xnode/listen/0/deep": http.StatusNotFound,
		"/apps/%78node%2Flisten/0":  http.StatusNotFound,
		"/APPS/xnode":               http.StatusNotFound,
		"/apps/xnod":                http.StatusNotFound,
		"/apps/xnode/limit":         http.StatusNotFound,
		"/m/00/0":                   http.StatusNotFound,
		"/m/0/00":                   http.StatusNotFound,
		"/none/at/all":              http.StatusNotFound,
		"/apps/..":                  http.StatusNotFound,
	} {
		for _, method := range []string{"PATCH", "DELETE"} {
			got, status := change(t, method, path, `"evil"`)
			var a, b any
			if err := errors.Join(json.Unmarshal([]byte(got), &a), json.Unmarshal([]byte(before), &b)); err != nil {
				t.Fatal(err)
			}
			if status != want || !cmp.Equal(a, b) {
				t.Errorf("%s %s: status %d, want %d; %s", method, path, status, want, got)
			}
		}
	}
	if _, status := change(t, "PUT", "/apps/xnode/listen", `[]`); status != http.StatusConflict {
		t.Errorf("PUT of what exists: status %d", status)
	}
}

func FuzzEvil_X2_Edit(f *testing.F) {
	f.Add("PATCH", "/apps/xnode/listen/0", `"c"`)
	f.Add("PUT", "/a/b/c", `[1]`)
	f.Add("POST", "/m/0/...", `[1]`)
	f.Fuzz(func(t *testing.T, method, path, value string) {
		u, err := url.Parse("http://xnode/config" + path)
		if err != nil {
			return
		}
		steps, err := stepsOf(u)
		if err != nil {
			return
		}
		v, err := decode([]byte(value))
		if err != nil {
			return
		}
		document, err := decode([]byte(before))
		if err != nil {
			t.Fatal(err)
		}
		root := map[string]any{"config": document}
		_ = edit(root, append([]string{"config"}, steps...), method, v) // it must not panic
		if _, err := json.Marshal(root); err != nil {
			t.Errorf("not a document any more: %v", err)
		}
	})
}

// What is kept of the last configuration is whole at every moment.
func TestPublish(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a.new"), filepath.Join(dir, "a")
	if err := publish(from, to); err != nil {
		t.Errorf("without a file: %v", err)
	}
	for _, text := range []string{"one", "two"} {
		if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := publish(from, to); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(to)
		if err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := os.Stat(from); err == nil {
			t.Error("the temporary file is left")
		}
	}
}
