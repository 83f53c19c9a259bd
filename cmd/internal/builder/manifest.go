// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package builder makes xnode binaries with modules of one's choice: it writes
// the main package and the go.mod that somebody would write by hand, and has
// the go command build them.
package builder

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Manifest is what a binary consists of. As JSON it is a file to be committed.
type Manifest struct {
	// Preset is the set of xnode's own modules to begin with. Default: standard.
	Preset string `json:"preset,omitempty"`
	// With are more packages, each "PACKAGE", "PACKAGE@VERSION" or
	// "PACKAGE[@VERSION]=PATH": the Go module of such a package is in a folder,
	// relative to the manifest.
	With []string `json:"with,omitempty"`
	// Without are the IDs of modules of the preset that are left out.
	Without []string `json:"without,omitempty"`
	// Tags are build tags for the Go command, besides those of the preset.
	Tags []string `json:"tags,omitempty"`
	// Output is the binary, relative to the manifest. Default: xnode.
	Output string `json:"output,omitempty"`
	// Xnode is the folder of a checkout to build from, relative to the
	// manifest. Default: the version of the binary that builds.
	Xnode string `json:"xnode,omitempty"`
}

// ReadManifest reads a manifest that is in a folder. Paths become those from
// the current one.
func ReadManifest(text []byte, dir string) (*Manifest, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	m := new(Manifest)
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("%w; the keys are preset, with, without, tags, output and xnode", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is text after the manifest's end; remove it")
	}
	under := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
	m.Output, m.Xnode = under(m.Output), under(m.Xnode)
	for i, text := range m.With {
		if name, path, ok := strings.Cut(text, "="); ok {
			m.With[i] = name + "=" + under(path)
		}
	}
	return m, nil
}

// with is a package of somebody else's.
type with struct {
	pkg     string
	version string // empty for whichever is needed
	path    string // the folder of its Go module; empty if it is not from one
}

func parseWith(text string) (with, error) {
	var w with
	name, path, local := strings.Cut(text, "=")
	w.pkg, w.version, _ = strings.Cut(name, "@")
	if w.pkg == "" || strings.ContainsAny(w.pkg, " \t\"`\\") || strings.HasPrefix(w.pkg, "-") || strings.HasPrefix(w.pkg, ".") || filepath.IsAbs(w.pkg) {
		return w, fmt.Errorf("%q is no package; write PACKAGE, PACKAGE@VERSION or PACKAGE=PATH", text)
	}
	if local {
		if path == "" {
			return w, fmt.Errorf("%q: the path is empty", text)
		}
		var err error
		w.path, err = filepath.Abs(path)
		return w, err
	}
	return w, nil
}

// preset is a set of modules of this repository, as folders below modules.
type preset struct {
	folders []string
	// tags are build tags, and cold the packages that are compiled for size:
	// nothing in them is done for every message.
	tags, cold []string
}

// presets are those that there are. The standard one is the package of that name
// and what it imports.
var presets = map[string]preset{
	"none": {},
	// Its only web server is the admin API, on a unix socket, where nobody speaks
	// HTTP/2: half a megabyte less.
	"minimal": {
		folders: []string{"identity/file", "muxer/yamux", "protocol/ping", "security/noise", "transport/tcp"},
		tags:    []string{"nethttpomithttp2"},
		cold: []string{Xnode + "/cmd/...", "github.com/caddyserver/...", "github.com/mholt/acmez/...", "github.com/miekg/dns/...",
			"github.com/prometheus/...", "github.com/spf13/...", "google.golang.org/protobuf/..."},
	},
	"dht": {folders: []string{"discovery/bootstrap", "discovery/mdns", "identity/file", "muxer/yamux", "protocol/ping", "record/ipns", "record/pk",
		"routing/kad", "security/noise", "security/tls", "storage/bbolt", "storage/memory", "transport/quic", "transport/tcp"}},
	"standard": {},
}

// preset is the one that a manifest begins with, and its name.
func (m *Manifest) preset() (string, preset, error) {
	name := cmp.Or(m.Preset, "standard")
	p, ok := presets[name]
	if !ok {
		return name, p, fmt.Errorf("there is no preset %q; choose one of %s", name, strings.Join(Presets(), ", "))
	}
	return name, p, nil
}

// tags are the build tags of the preset and those that were named.
func (m *Manifest) tags() ([]string, error) {
	_, p, err := m.preset()
	for _, tag := range m.Tags {
		if !tagForm.MatchString(tag) {
			return nil, fmt.Errorf("tags: %q is no build tag; write one of letters, digits, dots and underscores", tag)
		}
	}
	return slices.Concat(p.tags, m.Tags), err
}

var tagForm = regexp.MustCompile(`^[\pL\pN_.]+$`)

// Presets are their names.
func Presets() []string {
	var list []string
	for name := range presets {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// IDOf is the ID of the module in a folder below modules, and the other way
// around.
func IDOf(folder string) string {
	if name, ok := strings.CutPrefix(folder, "adapter/"); ok {
		return "caddy.adapters." + name
	}
	return "xnode." + strings.ReplaceAll(folder, "/", ".")
}
