// SPDX-License-Identifier: Apache-2.0 OR MIT

package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core/host"
)

// serveEdit changes a part of the running configuration, with the methods and
// paths of Caddy's admin API: POST sets a value or appends to a list (a path
// that ends in "..." appends each item of a list), PUT inserts, PATCH replaces,
// DELETE removes. The whole document is checked before anything is loaded.
func serveEdit(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	var value any
	if r.Method != http.MethodDelete {
		if err := host.CheckJSON(body); err != nil {
			return refuse(w, err, "")
		}
		if value, err = decode(body); err != nil {
			return fail(http.StatusBadRequest, err)
		}
	}
	steps, err := stepsOf(r.URL)
	if err != nil {
		return fail(http.StatusBadRequest, err)
	}
	force := strings.Contains(r.Header.Get("Cache-Control"), "must-revalidate")

	process.mu.Lock()
	defer process.mu.Unlock()
	if err := matches(r); err != nil {
		return err
	}
	current, _, err := look(r, "/config/")
	if err != nil {
		return err
	}
	document, err := decode(current)
	if err != nil {
		return fail(http.StatusInternalServerError, err)
	}
	root := map[string]any{"config": document}
	if err := edit(root, append([]string{"config"}, steps...), r.Method, value); err != nil {
		return err
	}
	text, err := json.Marshal(root["config"])
	if err != nil {
		return fail(http.StatusBadRequest, err)
	}
	if err := process.load(text, force); err != nil {
		// Lines of a text that nobody wrote help nobody.
		for _, m := range host.Mistakes(err) {
			m.Line, m.Column = 0, 0
		}
		return refuse(w, err, "")
	}
	caddy.ClearLastConfigIfDifferent("", "")
	process.source = ""
	return nil
}

// decode reads JSON without rounding numbers.
func decode(text []byte) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&value)
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the body is empty")
	}
	return value, err
}

// stepsOf parts a path behind /config/ into keys and indices. A slash within a
// key is written %2F.
func stepsOf(u *url.URL) ([]string, error) {
	path := strings.Trim(strings.TrimPrefix(u.EscapedPath(), "/config"), "/")
	if path == "" {
		return nil, nil
	}
	var steps []string
	for part := range strings.SplitSeq(path, "/") {
		step, err := url.PathUnescape(part)
		if err != nil || step == "" {
			return nil, fmt.Errorf("%s: not a path of keys", u.Path)
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// matches checks If-Match: the ETag that a GET of some path has returned.
func matches(r *http.Request) error {
	want := r.Header.Get("If-Match")
	if want == "" {
		return nil
	}
	path, _, ok := strings.Cut(strings.Trim(want, `"`), " ")
	if !ok || !strings.HasPrefix(path, "/config") {
		return fail(http.StatusBadRequest, errors.New("If-Match must be the ETag of a GET of /config/…"))
	}
	if _, etag, err := look(r, path); err != nil || etag != want {
		return fail(http.StatusPreconditionFailed, errors.New("the configuration has changed since it was read; read it again"))
	}
	return nil
}

// look asks the admin endpoint that serves a request for a part of the
// configuration.
func look(r *http.Request, path string) (body []byte, etag string, err error) {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return nil, "", errors.New("not served by an admin endpoint")
	}
	get := r.Clone(r.Context())
	get.Method, get.Body, get.ContentLength = http.MethodGet, http.NoBody, 0
	get.URL = &url.URL{Path: path}
	get.RequestURI = path
	var answer recorder
	server.Handler.ServeHTTP(&answer, get)
	if answer.status >= http.StatusBadRequest {
		return nil, "", fail(answer.status, fmt.Errorf("GET %s: %s", path, bytes.TrimSpace(answer.body.Bytes())))
	}
	return answer.body.Bytes(), answer.Header().Get("Etag"), nil
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (r *recorder) Header() http.Header {
	if r.header == nil {
		r.header = make(http.Header)
	}
	return r.header
}

// WriteHeader implements [http.ResponseWriter].
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write implements [io.Writer].
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// edit changes what the steps lead to. The last step but one is a container.
func edit(at any, steps []string, method string, value any) error {
	key := steps[0]
	last := len(steps) == 1
	switch c := at.(type) {
	case map[string]any:
		if last {
			return editKey(c, key, method, value)
		}
		if list, ok := c[key].([]any); ok && len(steps) == 2 {
			list, err := editItem(list, steps[1], method, value)
			c[key] = list
			return err
		}
		if c[key] == nil && method == http.MethodPut {
			c[key] = make(map[string]any)
		}
		return edit(c[key], steps[1:], method, value)
	case []any:
		i, err := index(key, len(c))
		if err != nil {
			return err
		}
		if list, ok := c[i].([]any); ok && len(steps) == 2 {
			c[i], err = editItem(list, steps[1], method, value)
			return err
		}
		if last {
			return fail(http.StatusBadRequest, errors.New("a list within a list changes as a whole"))
		}
		return edit(c[i], steps[1:], method, value)
	}
	return fail(http.StatusNotFound, fmt.Errorf("there is nothing at %q", key))
}

// editKey changes a key of an object.
func editKey(c map[string]any, key, method string, value any) error {
	old, exists := c[key]
	exists = exists && old != nil
	list, isList := old.([]any)
	switch {
	case method == http.MethodPut && exists:
		return fail(http.StatusConflict, fmt.Errorf("%q exists: PATCH replaces it", key))
	case (method == http.MethodPatch || method == http.MethodDelete) && !exists:
		return fail(http.StatusNotFound, fmt.Errorf("there is no %q", key))
	case method == http.MethodDelete:
		delete(c, key)
	case method == http.MethodPost && isList:
		c[key] = append(list, value)
	default:
		c[key] = value
	}
	return nil
}

// editItem changes an item of a list.
func editItem(list []any, step, method string, value any) ([]any, error) {
	if method == http.MethodPost {
		items, ok := value.([]any)
		if step != "..." || !ok {
			return list, fail(http.StatusBadRequest, errors.New(`POST appends to the list itself, or with "..." each item of a list`))
		}
		return append(list, items...), nil
	}
	most := len(list)
	if method == http.MethodPut {
		most++ // behind the last
	}
	i, err := index(step, most)
	if err != nil {
		return list, err
	}
	switch method {
	case http.MethodPut:
		return append(list[:i:i], append([]any{value}, list[i:]...)...), nil
	case http.MethodPatch:
		list[i] = value
		return list, nil
	}
	return append(list[:i:i], list[i+1:]...), nil
}

// index reads the place of an item. There is one way to write each: 00 or +0
// are none.
func index(step string, length int) (int, error) {
	i, err := strconv.Atoi(step)
	if err != nil || strconv.Itoa(i) != step || i < 0 || i >= length {
		return 0, fail(http.StatusNotFound, fmt.Errorf("%q is no index of a list of %d items", step, length))
	}
	return i, nil
}
