// SPDX-License-Identifier: Apache-2.0 OR MIT

package peerfile

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func load(t *testing.T, text string) core.Discoverer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "peers")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return coretest.MustLoad[core.Discoverer](t, "peerfile", `{"file": "`+path+`"}`)
}

func TestContract(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service { return load(t, "# nobody\nno address\n") })
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Discoverer](t, "peerfile", []coretest.Config{
		{Name: "a file", JSON: `{"file": "/nowhere"}`},
		{Name: "none", JSON: `{}`, WantErr: "file: it is missing"},
		{Name: "too often", JSON: `{"file": "x", "interval": "1ms"}`, WantErr: "the least is 1s"},
		{Name: "unknown key", JSON: `{"files": []}`, WantErr: `unknown field "files"`},
	})
}

func TestFindsWhoIsInTheFile(t *testing.T) {
	node := coretest.FakeNodes(t, 1)[0]
	who := coretest.NewIdentity(7).ID()
	found := make(chan core.PeerDiscovered, 10)
	defer core.On(node, func(p core.PeerDiscovered) { found <- p })()
	d := load(t, "/ip4/192.0.2.1/tcp/1/p2p/"+who.String()+" # a friend\n")
	if err := d.Start(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	select {
	case p := <-found:
		if p.Peer.ID != who || p.Source != "peerfile" {
			t.Errorf("%+v", p)
		}
	case <-time.After(time.Minute):
		t.Error("nobody was found")
	}
}
