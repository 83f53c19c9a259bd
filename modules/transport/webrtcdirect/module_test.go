// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func TestConfigs(t *testing.T) {
	coretest.TestConfigs[core.Transport](t, "webrtcdirect", []coretest.Config{
		{Name: "defaults", JSON: `{}`},
		{Name: "all", JSON: `{"handshake_timeout": "5s", "max_handshakes": 1, "idle_timeout": "1m", "max_incoming_streams": 16384, "receive_buffer": "1MiB", "stun_service": {"requests": 2, "requests_per_ip": 1}}`},
		{Name: "few answers", JSON: `{"stun_service": {"requests": 5}}`},
		{Name: "no answers", JSON: `{"stun_service": {"requests": -1}}`, WantErr: "stun_service/requests: -1 is not from 1 to 1000000"},
		{Name: "more for one", JSON: `{"stun_service": {"requests": 5, "requests_per_ip": 6}}`, WantErr: "stun_service/requests_per_ip: it is more than requests"},
		{Name: "short handshake", JSON: `{"handshake_timeout": "1ms"}`, WantErr: "handshake_timeout: 1ms is not from 1s to 5m"},
		{Name: "no handshakes", JSON: `{"max_handshakes": -1}`, WantErr: "max_handshakes: -1 is not from 1 to 65536"},
		{Name: "short idle", JSON: `{"idle_timeout": "1s"}`, WantErr: "idle_timeout: 1s is not from 10s to 1h"},
		{Name: "too many streams", JSON: `{"max_incoming_streams": 20000}`, WantErr: "max_incoming_streams: 20000 is not from 1 to 16384"},
		{Name: "small buffer", JSON: `{"receive_buffer": "1KiB"}`, WantErr: "receive_buffer: 1KiB is not from 64KiB to 64MiB"},
		{Name: "ICE servers", JSON: `{"ice_servers": []}`, WantErr: "ice_servers"},
	})
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service {
		return coretest.MustLoad[core.Transport](t, "webrtcdirect", `{}`).(core.Service)
	})
}
