// SPDX-License-Identifier: Apache-2.0 OR MIT

package mplex

import (
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func TestContract(t *testing.T) {
	m := coretest.MustLoad[core.Muxer](t, "mplex", `{}`)
	coretest.TestMuxer(t, m, coretest.SessionOptions{NoBackpressure: true})
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Muxer](t, "mplex", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "full", JSON: `{"max_incoming_streams": 10, "accept_backlog": 20, "max_unread": "1MiB",
			"patience": "1s", "max_message": "16KiB", "write_timeout": "500ms"}`},
		{Name: "edges", JSON: `{"max_incoming_streams": 1, "accept_backlog": 65536, "max_unread": "128KiB",
			"patience": "1ms", "max_message": "1MiB", "write_timeout": "10m"}`},
		{Name: "unknown key", JSON: `{"keepalive": "1s"}`, WantErr: "keepalive"},
		{Name: "no streams", JSON: `{"max_incoming_streams": -1}`, WantErr: "max_incoming_streams: -1 is not from 1 to 1000000"},
		{Name: "backlog", JSON: `{"accept_backlog": 65537}`, WantErr: "accept_backlog"},
		{Name: "small buffer", JSON: `{"max_unread": "64KiB"}`, WantErr: "max_unread: 64KiB is not from 128KiB to 1GiB"},
		{Name: "no patience", JSON: `{"patience": "1us"}`, WantErr: "patience"},
		{Name: "much patience", JSON: `{"patience": "11s"}`, WantErr: "patience: 11s is not from 1ms to 10s"},
		{Name: "large message", JSON: `{"max_message": "2MiB"}`, WantErr: "max_message: 2MiB is not from 1KiB to 1MiB"},
		{Name: "write timeout", JSON: `{"write_timeout": "11m"}`, WantErr: "write_timeout"},
	})
}
