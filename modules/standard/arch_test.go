// SPDX-License-Identifier: Apache-2.0 OR MIT

package standard_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/xnode-p2p/xnode/"

// A layer is a set of packages and what they may import of this module. A
// trailing "/..." means everything below.
type layer struct {
	packages string
	may      []string
	why      string
}

var contract = []string{"core", "core/peer", "core/record", "core/wire", "core/secretfile"}

// layers are looked up in order; the first that fits a package binds it.
var layers = []layer{
	{"core", contract[1:], "the contract stands on value types alone"},
	{"core/wire", nil, "framing knows nothing of what it frames"},
	{"core/secretfile", nil, "files know nothing of what is in them"},
	{"core/peer", []string{"core/wire"}, "peers are value types"},
	{"core/record", []string{"core/peer", "core/wire"}, "records are value types"},
	{"core/memnet", []string{"core/peer"}, "the in-memory network is a net, not a node"},
	{"core/internal/document", []string{"core"}, "documents are checked against types found by reflection"},
	{"core/internal/evil", append(contract, "core/internal/...", "core/memnet"), "attackers are for tests of whole nodes"},
	{"core/internal/...", append(contract, "core/internal/..."), "the parts of a node stand on the contract"},
	{"core/host", append(contract, "core/internal/..."), "the host knows kinds of module, no module"},
	{"core/coretest", append(contract, "core/memnet"), "contract suites are for every module author"},
	{"core/hosttest", append(contract, "core/memnet", "core/host"), "whole nodes in tests need the host"},
	{"modules/standard", []string{"modules/..."}, "the distribution is a list of modules"},
	{"modules/transport/memory", append(contract, "core/memnet"), "it is the in-memory network as a module"},
	{"modules/transport/quic", append(contract, "SIBLING/internal/...", "modules/security/tls"), "QUIC's handshake is libp2p's TLS"},
	{"modules/transport/webtransport", append(contract, "SIBLING/internal/...", "modules/security/noise"), "the spec has Noise on the first stream"},
	{"modules/transport/webrtcdirect", append(contract, "SIBLING/internal/...", "modules/security/noise"), "the spec has Noise on the first channel"},
	{"modules/...", append(contract, "SIBLING/internal/..."),
		"a module uses the contract and its kind's shared parts, never another module"},
	{"cmd/xnode", []string{"cmd", "modules/standard"}, "a binary is the command line and a choice of modules"},
	{"cmd/...", append(contract, "cmd/...", "core/host", "configs"), "commands drive a host"},
	{"cmd", append(contract, "cmd/...", "core/host", "configs"), "commands drive a host"},
	{"configs", nil, "configurations are data"},
	{"interop/...", append(contract, "core/host", "modules/...", "interop/..."), "peers for tests are binaries too"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func TestImportsFollowTheLayers(t *testing.T) {
	for _, p := range goList(t, "-json=ImportPath,Imports", "./...") {
		name, ok := strings.CutPrefix(p.ImportPath, module)
		if !ok {
			continue
		}
		l, ok := layerOf(name)
		if !ok {
			t.Errorf("%s is in no layer: add it to the table", name)
			continue
		}
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, "github.com/libp2p/go-libp2p") {
				t.Errorf("%s imports %s: go-libp2p is a peer in interop, never a dependency", name, imported)
			}
			if of, ok := strings.CutPrefix(imported, module); ok && !allowed(name, of, l.may) {
				t.Errorf("%s imports %s, which it may not: %s", name, of, l.why)
			}
		}
	}
}

func layerOf(name string) (layer, bool) {
	for _, l := range layers {
		if matches(name, l.packages) {
			return l, true
		}
	}
	return layer{}, false
}

func allowed(name, imported string, may []string) bool {
	for _, pattern := range may {
		// modules/<kind>/<name> may use modules/<kind>/internal/...
		if kind := strings.Split(name, "/"); strings.HasPrefix(pattern, "SIBLING/") && len(kind) > 2 {
			pattern = kind[0] + "/" + kind[1] + strings.TrimPrefix(pattern, "SIBLING")
		}
		if matches(imported, pattern) {
			return true
		}
	}
	return strings.HasPrefix(imported, name+"/")
}

func matches(name, pattern string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(name, below+"/")
	}
	return name == pattern
}

func goList(t *testing.T, args ...string) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var list []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// root is the folder of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
