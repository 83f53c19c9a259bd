// SPDX-License-Identifier: Apache-2.0 OR MIT

package memory

import (
	"testing"
	"testing/synctest"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func TestContract(t *testing.T) {
	tr := coretest.MustLoad[core.RawTransport](t, "memory", `{}`)
	coretest.TestRawTransport(t, tr, ma.StringCast("/memory/0"))
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Transport](t, "memory", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "unknown key", JSON: `{"delay": "1s"}`, WantErr: `unknown field "delay"`},
		{Name: "not an object", JSON: `[]`, WantErr: "cannot unmarshal array"},
	})
}

func TestNodesShareOneNetwork(t *testing.T) {
	a := coretest.MustLoad[*Transport](t, "memory", `{}`)
	b := coretest.MustLoad[*Transport](t, "memory", `{}`)
	l, err := a.Listen(ma.StringCast("/memory/0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := b.Dial(t.Context(), l.Multiaddr())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestInBubbles uses the one network from two bubbles of fake time in turn.
func TestInBubbles(t *testing.T) {
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			tr := new(Transport)
			l, err := tr.Listen(ma.StringCast("/memory/123456"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if _, err := tr.Dial(t.Context(), l.Multiaddr()); err != nil {
				t.Fatal(err)
			}
		})
	}
}
