// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package scaffold writes modules to begin with, one of each kind: a repository
// that builds and passes its tests.
package scaffold

import (
	"embed"
	"errors"
	"fmt"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

//go:embed templates
var templates embed.FS

// kind is what one of its modules is made of.
type kind struct {
	namespace string // of the module
	template  string // the files of its source
	iface     string // in package core
	is        string // what it is, in a sentence
	// example is the node's part of a configuration with it.
	example string
}

// kinds are those that modules may be of, by the names that users have for them.
var kinds = map[string]kind{
	"transport":   {"transport", "transport", "Transport", "", `"transports": {"NAME": {"rate": "1MiB"}}, "listen": ["/ip4/127.0.0.1/tcp/0"]`},
	"security":    {"security", "security", "Security", "", `"transports": {"tcp": {}}, "listen": ["/ip4/127.0.0.1/tcp/0"], "security": [{"module": "NAME"}]`},
	"muxer":       {"muxer", "muxer", "Muxer", "", `"transports": {"tcp": {}}, "listen": ["/ip4/127.0.0.1/tcp/0"], "muxers": [{"module": "NAME"}]`},
	"identity":    {"identity", "identity", "KeySource", "", `"identity": {"module": "NAME", "source": {"module": "ephemeral"}}`},
	"certificate": {"certificate", "certificate", "CertificateSource", "", `"transports": {"websocket": {"certificate": {"module": "NAME"}}}, "listen": ["/ip4/127.0.0.1/tcp/0/tls/ws"]`},
	"storage":     {"storage", "storage", "Storage", "", `"storage": {"module": "NAME"}`},
	"record":      {"record", "record", "RecordValidator", "", `"routing": {"kad": {"network": "example", "records": {"NAME": {}}}}`},
	"routing":     {"routing", "routing", "Routing", "", `"routing": {"NAME": {}}`},
	"validator":   {"pubsub.validator", "validator", "TopicValidator", "", `"pubsub": {"gossipsub": {"topics": ["news"], "topic_options": {"news": {"validators": [{"module": "NAME", "prefix": "v1:"}]}}}}`},
	"discovery":   {"discovery", "discovery", "Discoverer", "", `"discovery": {"NAME": {"file": "/etc/xnode-peers"}}`},
	"protocol":    {"protocol", "protocol", "Protocol", "", `"protocols": {"NAME": {"text": "good day"}}`},
	"nat":         {"nat", "service", "NAT", "helps the node to be reached", `"nat": {"NAME": {}}`},
	"pubsub":      {"pubsub", "service", "PubSub", "carries messages on topics", `"pubsub": {"NAME": {}}`},
}

// Kinds are their names.
func Kinds() []string {
	var list []string
	for name := range kinds {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// Xnode is where the module's Go module finds xnode: a version, or a folder.
type Xnode struct{ Version, Dir string }

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9]{0,30}$`)

// Write writes the repository of a module into a folder that there is not yet.
func Write(dir, kindName, name, path string, x Xnode) error {
	k, ok := kinds[kindName]
	if !ok {
		return fmt.Errorf("there is no kind of module %q; choose one of %s", kindName, strings.Join(Kinds(), ", "))
	}
	if !nameForm.MatchString(name) || token.IsKeyword(name) || slices.Contains([]string{"core", "coretest", "caddy", "main", "init"}, name) {
		return fmt.Errorf("%q is no name for a module; write a word of lower-case letters and digits", name)
	}
	if path == "" {
		path = "example.org/" + name
	}
	if strings.ContainsAny(path, " \t\n\"`\\") {
		return fmt.Errorf("%q is no path of a Go module", path)
	}
	files, err := k.files(name, path, x)
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("%s exists; choose another folder with -o", dir)
	}
	for file, text := range files {
		file = filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (k kind) files(name, path string, x Xnode) (map[string][]byte, error) {
	replace := strings.NewReplacer("NAME", name, "KIND", k.namespace, "IFACE", k.iface, "SHORT", k.is, "SECTION", k.namespace,
		"PATH", path, "EXAMPLE", strings.ReplaceAll(k.example, "NAME", name))
	files := make(map[string][]byte)
	var errs []error
	for file, template := range map[string]string{
		name + ".go":                 k.template + ".go.txt",
		name + "_test.go":            k.template + "_test.go.txt",
		"example.json":               "example.json.txt",
		"README.md":                  "README.md.txt",
		".github/workflows/test.yml": "test.yml.txt",
	} {
		text, err := templates.ReadFile("templates/" + template)
		errs = append(errs, err)
		files[file] = []byte(replace.Replace(string(text)))
	}
	mod := fmt.Sprintf("module %s\n\ngo 1.26.0\n\nrequire github.com/xnode-p2p/xnode ", path)
	if x.Dir != "" {
		// A path within the module's folder is one that others have too.
		mod += "v0.0.0\n\nreplace github.com/xnode-p2p/xnode => " + x.Dir + "\n"
	} else {
		mod += x.Version + "\n"
	}
	files["go.mod"] = []byte(mod)
	return files, errors.Join(errs...)
}
