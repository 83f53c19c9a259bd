// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	_ "embed"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
)

// ConformOptions say what [Conform] has to know of a module.
type ConformOptions struct {
	// Config is the configuration to test with. Default: {}.
	Config json.RawMessage `json:"config,omitempty"`
	// Listen is the address to listen on, of a transport: {folder} stands for
	// a folder of the test's. Default: the first of some that it matches.
	Listen string `json:"listen,omitempty"`
	// Skip says why there is nothing to be tested, as the module cannot run
	// by itself.
	Skip string `json:"skip,omitempty"`

	// These leave out what the kind of thing cannot do: see [RawOptions],
	// [SessionOptions] and [SecurityOptions].
	SharedAddress  bool `json:"shared_address,omitempty"`
	NoRebind       bool `json:"no_rebind,omitempty"`
	HiddenDialer   bool `json:"hidden_dialer,omitempty"`
	NoBackpressure bool `json:"no_backpressure,omitempty"`
	StreamCodes    bool `json:"stream_codes,omitempty"`
	ConnCodes      bool `json:"conn_codes,omitempty"`
	Plaintext      bool `json:"plaintext,omitempty"`
}

// ownOptions are those of xnode's own modules.
//
//go:embed conform.json
var ownOptions []byte

// listenAddrs are the addresses that a transport is tried with.
var listenAddrs = []string{
	"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0/ws",
	"/ip4/127.0.0.1/udp/0/quic-v1/webtransport", "/ip4/127.0.0.1/udp/0/webrtc-direct", "/memory/0",
}

// Conform runs the suites of their kinds for registered modules: those of the
// given IDs, or all. In options, as JSON, is by ID what has to be known of some.
func Conform(t *testing.T, options []byte, ids ...string) {
	all := make(map[string]ConformOptions)
	for _, text := range [][]byte{ownOptions, options} {
		if len(text) == 0 {
			continue
		}
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids {
		if core.StabilityOf(id) == "" {
			t.Errorf("there is no module %s here", id)
		}
	}
	for _, id := range caddy.Modules() {
		if core.StabilityOf(id) == "" || len(ids) > 0 && !slices.Contains(ids, id) {
			continue
		}
		t.Run(id, func(t *testing.T) {
			o := all[id]
			if o.Skip != "" {
				t.Skip(o.Skip)
			}
			if o.Config == nil {
				o.Config = json.RawMessage("{}")
			}
			conform(t, id, o)
		})
	}
}

// conform runs the suite of a module's kind.
func conform(t *testing.T, id string, o ConformOptions) {
	t.Setenv("XNODE_DATA", t.TempDir())
	first := conformLoad(t, id, o)
	session := SessionOptions{NoBackpressure: o.NoBackpressure, StreamCodes: o.StreamCodes, ConnCodes: o.ConnCodes}
	tested := true
	switch m := first.(type) {
	case core.RawTransport:
		if !strings.HasPrefix(id, core.Namespace[core.Transport]()+".") {
			tested = false
			break
		}
		TestRawTransport(t, m, conformAddr(t, m, o), RawOptions{SharedAddress: o.SharedAddress, NoRebind: o.NoRebind, HiddenDialer: o.HiddenDialer})
	case core.MuxedTransport:
		TestMuxedTransport(t, func(t *testing.T) core.MuxedTransport { return conformLoad(t, id, o).(core.MuxedTransport) }, conformAddr(t, m, o), session)
	case core.SecureChannel:
		TestSecurity(t, m, SecurityOptions{Plaintext: o.Plaintext})
	case core.Muxer:
		TestMuxer(t, m, session)
	case core.Storage:
		TestStorage(t, StorageOptions{New: func(t *testing.T, folder string) core.Storage {
			t.Setenv("XNODE_DATA", folder)
			return conformLoad(t, id, o).(core.Storage)
		}})
		return // which has the lifecycle in it
	case core.TopicValidator:
		TestTopicValidator(t, TopicValidatorOptions{New: func(t *testing.T) core.TopicValidator { return conformLoad(t, id, o).(core.TopicValidator) }})
		return
	case core.KeySource:
		conformKey(t, m)
	default:
		tested = false
	}
	if _, ok := first.(core.Service); ok {
		TestLifecycle(t, func(t *testing.T) core.Service { return conformLoad(t, id, o).(core.Service) })
	} else if !tested {
		t.Log("it loads; its kind has no suite")
	}
}

// conformLoad makes a module.
func conformLoad(t *testing.T, id string, o ConformOptions) any {
	t.Helper()
	v, err := loadID(t, id, string(o.Config))
	if err != nil {
		t.Fatalf("%v; say in options what configuration it takes, or why it cannot be tested by itself", err)
	}
	return v
}

// conformAddr is the address that a transport is to listen on.
func conformAddr(t *testing.T, m core.Transport, o ConformOptions) ma.Multiaddr {
	t.Helper()
	candidates := listenAddrs
	if o.Listen != "" {
		candidates = []string{strings.ReplaceAll(o.Listen, "{folder}", filepath.ToSlash(t.TempDir()))}
	}
	for _, text := range candidates {
		if a, err := ma.NewMultiaddr(text); err == nil && m.Match(a) {
			return a
		}
	}
	t.Fatalf("it matches none of %v; say in options where it listens", candidates)
	return nil
}

// conformKey tests what every source of keys must do.
func conformKey(t *testing.T, source core.KeySource) {
	first, err := source.PrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	second, err := source.PrivateKey()
	if err == nil && !second.Public().Equal(first.Public()) {
		err = errors.New("another key")
	}
	if err != nil {
		t.Errorf("the second call: %v", err)
	}
}
