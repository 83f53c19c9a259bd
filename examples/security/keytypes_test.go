// SPDX-License-Identifier: Apache-2.0 OR MIT

package keytypes

import (
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
)

func TestContract(t *testing.T) {
	coretest.TestSecurity(t, coretest.MustLoad[core.Security](t, "keytypes", `{}`).(core.SecureChannel))
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Security](t, "keytypes", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "key types", JSON: `{"key_types": ["ed25519", "rsa"]}`},
		{Name: "an unknown one", JSON: `{"key_types": ["dsa"]}`, WantErr: `"dsa" is no type of key`},
		{Name: "unknown key", JSON: `{"chanel": {}}`, WantErr: `unknown field "chanel"`},
	})
}
