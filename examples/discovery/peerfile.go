// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package peerfile connects to the peers that a file names, one address a line.
//
//	"discovery": {"peerfile": {"file": "/etc/peers", "interval": "1m"}}
//
// The file is read again and again; who is no longer in it stays connected.
package peerfile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

func init() { core.Register(new(Discoverer), core.Development) }

// maxPeers bounds the peers that are taken from the file.
const maxPeers = 1000

// Discoverer is the xnode.discovery.peerfile module.
type Discoverer struct {
	// File has an address that ends in /p2p/ID in each line; # begins a
	// comment. Placeholders are expanded. It must be given.
	File string `json:"file"`
	// Interval is how often the file is read.
	// Default: "1m".
	Interval core.Duration `json:"interval,omitempty"`

	log  *slog.Logger
	stop context.CancelFunc
	wg   sync.WaitGroup
}

// CaddyModule implements [caddy.Module].
func (*Discoverer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.discovery.peerfile", New: func() caddy.Module { return new(Discoverer) }}
}

// Provision implements [caddy.Provisioner].
func (d *Discoverer) Provision(ctx caddy.Context) (err error) {
	d.log = core.Logger(ctx)
	if d.Interval == 0 {
		d.Interval = core.Duration(time.Minute)
	}
	d.File, err = core.Expand(d.File)
	return err
}

// Validate implements [caddy.Validator].
func (d *Discoverer) Validate() error {
	if d.File == "" {
		return errors.New("file: it is missing; write where the addresses are")
	}
	if time.Duration(d.Interval) < time.Second {
		return fmt.Errorf("interval: %v is too often; the least is 1s", d.Interval)
	}
	return nil
}

// Start implements [core.Service].
func (d *Discoverer) Start(_ context.Context, n core.Node) error {
	ctx, cancel := context.WithCancel(context.Background())
	d.stop = cancel
	d.wg.Go(func() { d.loop(ctx, n) })
	return nil
}

// Close implements [core.Service].
func (d *Discoverer) Close() error {
	if d.stop != nil {
		d.stop()
	}
	d.wg.Wait()
	return nil
}

func (d *Discoverer) loop(ctx context.Context, n core.Node) {
	tick := time.NewTicker(time.Duration(d.Interval))
	defer tick.Stop()
	for {
		peers, err := d.read()
		if err != nil {
			d.log.Warn("peers are not read", "error", err)
		}
		for _, p := range peers {
			if p.ID == n.ID() || len(n.ConnsTo(p.ID)) > 0 {
				continue
			}
			n.Emit(core.PeerDiscovered{Peer: p, Source: "peerfile"})
			if _, err := n.Connect(ctx, p); err != nil {
				d.log.Debug("not connected", "peer", p.ID, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// read reads the file. A line that is wrong is told and left out.
func (d *Discoverer) read() ([]peer.AddrInfo, error) {
	f, err := os.Open(d.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []peer.AddrInfo
	s := bufio.NewScanner(f)
	for s.Scan() && len(list) < maxPeers {
		text, _, _ := strings.Cut(s.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			d.log.Warn("no address", "text", text)
			continue
		}
		where, id := peer.SplitAddr(a)
		if id == "" || where == nil {
			d.log.Warn("no address that ends in /p2p/ID", "text", text)
			continue
		}
		list = append(list, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{where}})
	}
	return list, s.Err()
}

var _ core.Discoverer = (*Discoverer)(nil)
