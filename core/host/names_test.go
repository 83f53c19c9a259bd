// SPDX-License-Identifier: Apache-2.0 OR MIT

package host_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/peer"
)

// zone is a DNS with two names.
type zone struct{}

func (zone) LookupIPAddr(_ context.Context, name string) ([]net.IPAddr, error) {
	if name != "host.example.org" {
		return nil, errors.New("no such host")
	}
	return []net.IPAddr{{IP: net.IPv4(192, 0, 2, 1)}}, nil
}

func (zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	if name != "_dnsaddr.example.org" {
		return nil, errors.New("no such name")
	}
	id := peer.FromPublicKey(hosttest.Key(9).Public())
	return []string{"dnsaddr=/dns4/host.example.org/tcp/1/p2p/" + id.String()}, nil
}

func TestNames(t *testing.T) {
	h, err := host.New(host.Settings{Key: hosttest.Key(1), Resolver: zone{}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	id := peer.FromPublicKey(hosttest.Key(9).Public())
	for name, want := range map[string]string{
		"/dnsaddr/example.org":                 "[/ip4/192.0.2.1/tcp/1/p2p/" + id.String() + "] <nil>",
		"/dns4/host.example.org/udp/2/quic-v1": "[/ip4/192.0.2.1/udp/2/quic-v1] <nil>",
		"/ip4/192.0.2.7/tcp/1":                 "[/ip4/192.0.2.7/tcp/1] <nil>",
		"/dnsaddr/nobody.example.org":          "[] resolve /dnsaddr/nobody.example.org: no such name",
	} {
		found, err := h.Resolve(t.Context(), ma.StringCast(name))
		if got := fmt.Sprint(found, " ", err); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
