// SPDX-License-Identifier: Apache-2.0 OR MIT

package tunnel

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/xnode-p2p/xnode/core"
)

// Open is an open tunnel.
type Open struct {
	Protocol string `json:"protocol"`
	// From is where programs connect to; the peers that may, where the server is.
	From string `json:"from"`
	// To is where the server is, or the peer that has it.
	To string `json:"to"`
}

// List is a list of open tunnels.
type List []Open

// String implements [fmt.Stringer].
func (l List) String() string {
	var b strings.Builder
	for _, o := range l {
		fmt.Fprintf(&b, "%s %s %s\n", o.Protocol, o.From, o.To)
	}
	return b.String()
}

// Commands implements [core.Commander].
func (t *Tunnel) Commands() []core.Command {
	return []core.Command{
		{
			Name: "p2p listen", Usage: "PROTOCOL ADDRESS PEER…", Short: "Lets peers reach a server of this machine",
			Long: `listen lets peers reach the server at ADDRESS under PROTOCOL, which begins with
/x/; * in place of the peers lets everybody:

  xnode p2p listen /x/ssh /ip4/127.0.0.1/tcp/22 12D3KooW…

JSON: {"protocol", "from", "to"}`,
			Run: func(_ context.Context, args []string) (any, error) {
				if len(args) < 3 {
					return nil, fmt.Errorf("%d arguments; name the protocol, the server's address and who may connect, or * for everybody", len(args))
				}
				if err := t.listen(args[0], Serve{To: args[1], Allow: args[2:]}); err != nil {
					return nil, err
				}
				return List{{args[0], strings.Join(args[2:], ","), args[1]}}, nil
			},
		},
		{
			Name: "p2p forward", Usage: "PROTOCOL ADDRESS PEER", Short: "Lets this machine's programs reach a server of a peer's",
			Long: `forward listens on ADDRESS and carries what connects there to PEER, to the server
that it has under PROTOCOL:

  xnode p2p forward /x/ssh /ip4/127.0.0.1/tcp/2222 12D3KooW…

JSON: {"protocol", "from", "to"}`,
			Run: func(_ context.Context, args []string) (any, error) {
				if len(args) != 3 {
					return nil, fmt.Errorf("%d arguments; name the protocol, the address to listen on and the peer", len(args))
				}
				w, err := t.open(Forward{Protocol: args[0], From: args[1], Peer: args[2]})
				if err != nil {
					return nil, err
				}
				return List{{w.protocol, w.from.String(), w.peer.ID.String()}}, nil
			},
		},
		{
			Name: "p2p ls", Short: "Lists the tunnels of the running node", Long: "ls lists the tunnels of the running node.\n\nJSON: [{\"protocol\", \"from\", \"to\"}]",
			Run: func(context.Context, []string) (any, error) { return t.list(), nil },
		},
		{
			Name: "p2p close", Usage: "PROTOCOL|ADDRESS|all", Short: "Closes tunnels",
			Long: "close closes the tunnels of a protocol, the one that listens on an address, or all.\n\nJSON: the tunnels that it has closed, as ls prints them",
			Run: func(_ context.Context, args []string) (any, error) {
				if len(args) != 1 {
					return nil, fmt.Errorf("%d arguments; name a protocol, an address, or all", len(args))
				}
				return t.shut(args[0])
			},
		},
	}
}

// list lists the open tunnels.
func (t *Tunnel) list() List {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := List{}
	for _, s := range t.served {
		list = append(list, s.open())
	}
	for _, f := range t.forward {
		list = append(list, f.open())
	}
	slices.SortFunc(list, func(a, b Open) int { return strings.Compare(a.Protocol+" "+a.From, b.Protocol+" "+b.From) })
	return list
}

func (w *served) open() Open {
	who := []string{"*"}
	if w.allow != nil {
		who = nil
	}
	for _, p := range w.allow {
		who = append(who, p.String())
	}
	return Open{w.protocol, strings.Join(who, ","), w.to.String()}
}

func (w *forwarded) open() Open { return Open{w.protocol, w.from.String(), w.peer.ID.String()} }

// shut closes tunnels.
func (t *Tunnel) shut(which string) (List, error) {
	var ends []func() error
	list := List{}
	t.mu.Lock()
	for key, s := range t.served {
		if which == "all" || which == s.protocol {
			list = append(list, s.open())
			ends = append(ends, func() error { s.remove(); return nil })
			delete(t.served, key)
		}
	}
	for key, f := range t.forward {
		if which == "all" || which == f.protocol || which == f.from.String() {
			list = append(list, f.open())
			ends = append(ends, f.close)
			delete(t.forward, key)
		}
	}
	t.mu.Unlock()
	for _, end := range ends {
		if err := end(); err != nil {
			return list, err
		}
	}
	if len(list) == 0 && which != "all" {
		return nil, fmt.Errorf("there is no tunnel %q; 'xnode p2p ls' lists those there are", which)
	}
	return list, nil
}
