// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	_ "github.com/xnode-p2p/xnode/modules/certificate/selfsigned"
)

// The addresses of the tests: any port of the loopback interface.
var (
	plain4  = ma.StringCast("/ip4/127.0.0.1/tcp/0/ws")
	plain6  = ma.StringCast("/ip6/::1/tcp/0/ws")
	secure4 = ma.StringCast("/ip4/127.0.0.1/tcp/0/tls/ws")
)

// lenient listens on /tls/ws and does not check what it dials.
const lenient = `{"certificate": {"module": "selfsigned"}, "insecure_skip_tls_verify": true}`

func load(t testing.TB, config string) *Transport {
	t.Helper()
	return coretest.MustLoad[*Transport](t, "websocket", config)
}

func TestContract(t *testing.T) {
	for name, listen := range map[string]ma.Multiaddr{
		"ws":   plain4,
		"wss":  secure4,
		"path": ma.StringCast("/ip4/127.0.0.1/tcp/0/ws/http-path/a%2Fb%20c"),
		"sni":  ma.StringCast("/ip4/127.0.0.1/tcp/0/tls/sni/localhost/ws"),
		"ip6":  plain6,
	} {
		t.Run(name, func(t *testing.T) {
			coretest.TestRawTransport(t, load(t, lenient), listen, coretest.RawOptions{
				New: func(t *testing.T) core.RawTransport { return load(t, lenient) },
			})
		})
	}
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service { return load(t, lenient) })
}

func TestConfig(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(bad, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	coretest.TestConfigs[core.Transport](t, "websocket", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "everything", JSON: `{"certificate": {"module": "selfsigned"}, "trusted_proxies": ["10.0.0.0/8", "::1"],
			"client_ip_header": "X-Real-IP", "proxy_protocol": true, "connect_timeout": "5s", "insecure_skip_tls_verify": true}`},
		{Name: "certificate without a module", JSON: `{"certificate": {}}`, WantErr: `certificate: the key "module"`},
		{Name: "unknown certificate", JSON: `{"certificate": {"module": "nobody"}}`, WantErr: "unknown module: xnode.certificate.nobody"},
		{Name: "bad certificate", JSON: `{"certificate": {"module": "selfsigned", "names": [""]}}`, WantErr: "certificate: selfsigned: "},
		{Name: "bad proxy", JSON: `{"trusted_proxies": ["::1", "example.com"]}`, WantErr: `trusted_proxies/1: "example.com" is no IP address or network`},
		{Name: "bad network", JSON: `{"trusted_proxies": ["10.0.0.0/33"]}`, WantErr: `trusted_proxies/0: "10.0.0.0/33"`},
		{Name: "PROXY from nobody", JSON: `{"proxy_protocol": true}`, WantErr: "proxy_protocol: there are no trusted_proxies"},
		{Name: "header from nobody", JSON: `{"client_ip_header": "X-Real-IP"}`, WantErr: "client_ip_header: there are no trusted_proxies"},
		{Name: "no such roots", JSON: `{"root_ca_file": "/nonexistent/roots.pem"}`, WantErr: "root_ca_file: open /nonexistent/roots.pem"},
		{Name: "empty roots", JSON: fmt.Sprintf(`{"root_ca_file": %q}`, bad), WantErr: "no certificate in PEM"},
		{Name: "number for a duration", JSON: `{"connect_timeout": 5}`, WantErr: "5 is no duration"},
		{Name: "unknown key", JSON: `{"path": "/x"}`, WantErr: `unknown field "path"`},
	})
}

func TestListenErrors(t *testing.T) {
	tr := load(t, `{}`)
	_, err := tr.Listen(secure4)
	if want := "listen /ip4/127.0.0.1/tcp/0/tls/ws: there is no certificate"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	l, err := tr.Listen(plain4)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := load(t, `{}`).Listen(l.Multiaddr()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("another node listens on %s too: %v", l.Multiaddr(), err)
	}
}
