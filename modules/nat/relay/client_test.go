// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"fmt"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// reached is a connection that was dialled at an address.
type reached struct {
	core.Conn
	at ma.Multiaddr
}

func (r reached) RemoteMultiaddr() ma.Multiaddr { return r.at }
func (reached) Stat() core.ConnStat             { return core.ConnStat{Direction: core.Outbound} }

// TestEvil_D2_RelayTellsAddressesInside: a relay on the Internet says of itself that
// it is in local networks, at thousands of addresses, and behind other relays; peers
// are told none of that.
func TestEvil_D2_RelayTellsAddressesInside(t *testing.T) {
	relayID, other := somebody(1), somebody(2)
	public := ma.StringCast("/ip4/9.9.9.9/tcp/4001")
	told := []ma.Multiaddr{
		ma.StringCast("/ip4/127.0.0.1/tcp/22"),
		ma.StringCast("/ip4/169.254.169.254/tcp/80"),
		ma.StringCast("/ip4/192.168.1.1/tcp/80/p2p/" + relayID.String()),
		ma.StringCast("/ip6/::1/tcp/22"),
		ma.StringCast("/ip6/::ffff:10.0.0.1/tcp/22"),
		ma.StringCast("/ip4/9.9.9.8/tcp/4001/p2p/" + other.String()),
		ma.StringCast("/ip4/9.9.9.8/tcp/4001/p2p/" + other.String() + "/p2p-circuit/p2p/" + relayID.String()),
	}
	for i := range 5000 {
		told = append(told, ma.StringCast(fmt.Sprintf("/ip4/9.9.%d.%d/tcp/4001", i/250, i%250)))
	}
	list := announced(reached{at: public}, peer.AddrInfo{ID: relayID, Addrs: []ma.Multiaddr{public}}, told)
	if len(list) != 8 || !list[0].Equal(ma.StringCast(public.String()+"/p2p/"+relayID.String()+"/p2p-circuit")) {
		t.Errorf("%d addresses, %v", len(list), list)
	}
	for _, a := range list {
		if text := a.String(); !strings.HasPrefix(text, "/ip4/9.9.") || !strings.HasSuffix(text, "/p2p/"+relayID.String()+"/p2p-circuit") {
			t.Errorf("peers are told %s", a)
		}
	}
}
