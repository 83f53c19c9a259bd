// SPDX-License-Identifier: Apache-2.0 OR MIT

package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/protocol/internal/door"
)

// served is the end of a tunnel where the server is.
type served struct {
	protocol string
	to       ma.Multiaddr
	network  string
	address  string
	// allow are the peers that may; nil lets everybody.
	allow  []peer.ID
	remove func()
}

// newServed checks what a tunnel is to serve.
func (t *Tunnel) newServed(protocol string, s Serve) (*served, error) {
	if err := checkProtocol(protocol); err != nil {
		return nil, err
	}
	w := &served{protocol: protocol}
	var err error
	if w.to, w.network, w.address, err = door.Place(s.To); err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	if len(s.Allow) == 0 {
		return nil, errors.New(`allow: it is missing; write the IDs of the peers that may connect, or ["*"] for everybody`)
	}
	if slices.Contains(s.Allow, "*") {
		if len(s.Allow) > 1 {
			return nil, errors.New(`allow: "*" lets everybody connect; remove it, or the others`)
		}
		return w, nil
	}
	for i, text := range s.Allow {
		id, err := peer.Decode(text)
		if err != nil {
			return nil, fmt.Errorf("allow/%d: %w", i, err)
		}
		w.allow = append(w.allow, id)
	}
	return w, nil
}

// checkProtocol says what is wrong with the name of a tunnel's protocol.
func checkProtocol(name string) error {
	if len(name) <= len("/x/") || len(name) > 128 || !strings.HasPrefix(name, "/x/") || strings.ContainsAny(name, " \t\n") {
		return fmt.Errorf("%.128q is no protocol for a tunnel; write one that begins with /x/, such as /x/ssh, of at most 128 bytes", name)
	}
	return nil
}

// listen lets peers reach a server.
func (t *Tunnel) listen(protocol string, s Serve) error {
	w, err := t.newServed(protocol, s)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed || t.served == nil:
		return fmt.Errorf("tunnel: %w", net.ErrClosed)
	case t.served[protocol] != nil:
		return fmt.Errorf("%s is served already; close it first", protocol)
	case len(t.served) >= maxTunnels:
		return fmt.Errorf("there are %d tunnels; close one first", maxTunnels)
	}
	slots := make(chan struct{}, t.MaxConnections)
	w.remove = t.node.Handle(protocol, func(stream core.Stream) error {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			return fmt.Errorf("more than %d connections; raise max_connections", t.MaxConnections)
		}
		return w.serve(t.ctx(), stream)
	})
	t.served[protocol] = w
	return nil
}

// serve carries one connection of a peer's.
func (w *served) serve(ctx context.Context, stream core.Stream) error {
	if from := stream.Conn().RemotePeer(); w.allow != nil && !slices.Contains(w.allow, from) {
		return fmt.Errorf("%s may not connect; add it to allow", from)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, w.network, w.address)
	if err != nil {
		return err
	}
	return carry(stream, conn)
}
