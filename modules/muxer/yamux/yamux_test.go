// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func TestContract(t *testing.T) {
	m := coretest.MustLoad[core.Muxer](t, "yamux", `{}`)
	coretest.TestMuxer(t, m, coretest.SessionOptions{StreamCodes: true, ConnCodes: true})
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Muxer](t, "yamux", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "full", JSON: `{"max_incoming_streams": 10, "accept_backlog": 20, "keepalive": "1m",
			"write_timeout": "500ms", "max_window": "1MiB", "max_message": "16KiB"}`},
		{Name: "edges", JSON: `{"max_incoming_streams": 1, "accept_backlog": 65536, "keepalive": "1s",
			"write_timeout": "10m", "max_window": "256KiB", "max_message": "256KiB"}`},
		{Name: "unknown key", JSON: `{"backlog": 1}`, WantErr: "backlog"},
		{Name: "no streams", JSON: `{"max_incoming_streams": -1}`, WantErr: "max_incoming_streams: -1 is not from 1 to 1000000"},
		{Name: "backlog", JSON: `{"accept_backlog": 65537}`, WantErr: "accept_backlog"},
		{Name: "short keepalive", JSON: `{"keepalive": "1ms"}`, WantErr: "keepalive: 1ms is not from 1s to 1h"},
		{Name: "keepalive as number", JSON: `{"keepalive": 30}`, WantErr: "no duration"},
		{Name: "write timeout", JSON: `{"write_timeout": "11m"}`, WantErr: "write_timeout"},
		{Name: "small window", JSON: `{"max_window": "128KiB"}`, WantErr: "max_window: 128KiB is not from 256KiB to 1GiB"},
		{Name: "large window", JSON: `{"max_window": "4GiB"}`, WantErr: "max_window"},
		{Name: "small message", JSON: `{"max_message": "12B"}`, WantErr: "max_message: 12B is not from 1KiB to 256KiB"},
	})
}
