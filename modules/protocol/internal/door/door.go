// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package door listens on this machine's network for modules that carry what
// connects there to peers.
package door

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
)

// Place reads an address of this machine's network.
func Place(text string) (a ma.Multiaddr, network, address string, err error) {
	if text == "" {
		return nil, "", "", errors.New("it is missing; an example is /ip4/127.0.0.1/tcp/8080")
	}
	if text, err = core.Expand(text); err != nil {
		return nil, "", "", err
	}
	if a, err = ma.NewMultiaddr(text); err != nil {
		return nil, "", "", fmt.Errorf("%q is no multiaddr: %w; an example is /ip4/127.0.0.1/tcp/8080", text, err)
	}
	network, address, err = manet.DialArgs(a)
	if err != nil || !strings.HasPrefix(network, "tcp") && network != "unix" {
		return nil, "", "", fmt.Errorf("%s is neither TCP nor a unix socket; an example is /ip4/127.0.0.1/tcp/8080", a)
	}
	return a, network, address, nil
}

// key is the key under which a door is shared.
type key string

// Door is a listener that outlives a reload: connections are for whoever has
// come last.
type Door struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu    sync.Mutex
	takes []*func(net.Conn)
}

// Open opens the door at an address of this machine's network, or shares it with
// other modules of the node. release gives it back.
func Open(s core.Shares, a ma.Multiaddr) (d *Door, release func() error, err error) {
	return core.Share(s, key(a.String()), func() (*Door, error) {
		network, address, err := manet.DialArgs(a)
		if err != nil {
			return nil, err
		}
		l, err := net.Listen(network, address)
		if err != nil {
			return nil, err
		}
		d := &Door{listener: l}
		d.wg.Go(d.accept)
		return d, nil
	})
}

// Addr is where it is.
func (d *Door) Addr() net.Addr { return d.listener.Addr() }

// Enter has f take connections until leave is called. It is not called any more
// when that returns.
func (d *Door) Enter(f func(net.Conn)) (leave func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.takes = append(d.takes, &f)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		for i := range d.takes {
			if d.takes[i] == &f {
				d.takes = append(d.takes[:i:i], d.takes[i+1:]...)
				return
			}
		}
	}
}

func (d *Door) accept() {
	for {
		conn, err := d.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(50 * time.Millisecond) // no descriptors are left, as a rule
			continue
		}
		d.mu.Lock()
		if len(d.takes) == 0 {
			_ = conn.Close()
		} else {
			(*d.takes[len(d.takes)-1])(conn)
		}
		d.mu.Unlock()
	}
}

// Close implements [io.Closer].
func (d *Door) Close() error {
	err := d.listener.Close()
	d.wg.Wait()
	return err
}
