// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func TestConfigs(t *testing.T) {
	coretest.TestConfigs[core.Security](t, "tls", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "muxers", JSON: `{"muxers": ["/y"]}`, WantErr: "muxers"},
		{Name: "certificate", JSON: `{"certificate": "x.pem"}`, WantErr: "certificate"},
		{Name: "not an object", JSON: `true`, WantErr: "tls"},
	})
}

func TestSecurity(t *testing.T) {
	coretest.TestSecurity(t, coretest.MustLoad[core.Security](t, "tls", `{}`).(core.SecureChannel))
}
