// SPDX-License-Identifier: Apache-2.0 OR MIT

package rpc

import (
	"fmt"
	"math"
	"time"

	"github.com/xnode-p2p/xnode/core/wire"
)

func (d *decoder) control(b []byte) error {
	if d.controlBytes += len(b); d.controlBytes > d.Control {
		return fmt.Errorf("%d bytes of control messages, limit %d: %w", d.controlBytes, d.Control, wire.ErrTooLarge)
	}
	for f, err := range wire.Fields(b) {
		if err != nil {
			return err
		}
		var decode func([]byte) error
		switch f.Num {
		case controlIHave:
			decode = d.ihave
		case controlIWant:
			decode = d.iwant
		case controlGraft:
			decode = d.graft
		case controlPrune:
			decode = d.prune
		case controlIDontWant:
			decode = d.idontwant
		case controlExtensions:
			decode = d.extensions
		default:
			continue
		}
		v, err := f.Bytes()
		if err == nil {
			err = decode(v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// id takes the ID of a message.
func (d *decoder) id(dst *[][]byte, f wire.Field) error {
	v, err := f.Bytes()
	if err != nil {
		return err
	}
	if len(v) > d.ID || d.idsLeft == 0 {
		d.rpc.Excess++
		return nil
	}
	d.idsLeft--
	*dst = append(*dst, v)
	return nil
}

func (d *decoder) ihave(b []byte) error {
	c := &d.rpc.Control
	if d.full(len(c.IHave), d.Topics) {
		return nil
	}
	var h IHave
	named := false
	for f, err := range wire.Fields(b) {
		if err != nil {
			return err
		}
		switch f.Num {
		case ihaveTopic:
			named, err = d.topic(&h.Topic, f)
		case ihaveIDs:
			err = d.id(&h.IDs, f)
		}
		if err != nil {
			return err
		}
	}
	if named {
		c.IHave = append(c.IHave, h)
	}
	return nil
}

func (d *decoder) iwant(b []byte) error {
	d.rpc.Control.IWants++
	return d.ids(&d.rpc.Control.IWant, b)
}

func (d *decoder) idontwant(b []byte) error {
	d.rpc.Control.IDontWants++
	return d.ids(&d.rpc.Control.IDontWant, b)
}

func (d *decoder) ids(dst *[][]byte, b []byte) error {
	for f, err := range wire.Fields(b) {
		if err != nil {
			return err
		}
		if f.Num == idsIDs {
			if err := d.id(dst, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *decoder) graft(b []byte) error {
	c := &d.rpc.Control
	if d.full(len(c.Graft), d.Topics) {
		return nil
	}
	var topic string
	named := false
	for f, err := range wire.Fields(b) {
		if err != nil {
			return err
		}
		if f.Num == graftTopic {
			if named, err = d.topic(&topic, f); err != nil {
				return err
			}
		}
	}
	if named {
		c.Graft = append(c.Graft, topic)
	}
	return nil
}

func (d *decoder) prune(b []byte) error {
	c := &d.rpc.Control
	if d.full(len(c.Prune), d.Topics) {
		return nil
	}
	var p Prune
	named := false
	for f, err := range wire.Fields(b) {
		if err != nil {
			return err
		}
		switch f.Num {
		case pruneTopic:
			named, err = d.topic(&p.Topic, f)
		case prunePeers:
			err = d.peer(&p, f)
		case pruneBackoff:
			var v uint64
			v, err = f.Uint64()
			p.Backoff = clampBackoff(v)
		}
		if err != nil {
			return err
		}
	}
	if named {
		c.Prune = append(c.Prune, p)
	}
	return nil
}

// clampBackoff turns seconds into a duration between one second and [MaxBackoff].
func clampBackoff(seconds uint64) time.Duration {
	const most = uint64(MaxBackoff / time.Second)
	if seconds == 0 {
		return 0
	}
	return time.Duration(min(seconds, most, math.MaxInt32)) * time.Second
}

func (d *decoder) peer(p *Prune, f wire.Field) error {
	b, err := f.Bytes()
	if err != nil || d.full(len(p.Peers), d.Peers) {
		return err
	}
	var info PeerInfo
	for f, err := range wire.Fields(b) {
		if err != nil {
			return err
		}
		switch f.Num {
		case peerID:
			info.ID, err = f.Bytes()
		case peerRecord:
			info.Record, err = f.Bytes()
		}
		if err != nil {
			return err
		}
	}
	if len(info.Record) > d.Record {
		d.rpc.Excess++
		return nil
	}
	if len(info.ID) > 0 {
		p.Peers = append(p.Peers, info)
	}
	return nil
}

func (d *decoder) extensions(b []byte) error {
	if d.full(btoi(d.rpc.Control.Extensions != nil), 1) {
		return nil
	}
	e := new(Extensions)
	for f, err := range wire.Fields(b) {
		if err != nil {
			return err
		}
		if f.Num == extPartialMessages {
			if err := flag(&e.PartialMessages, f); err != nil {
				return err
			}
		}
	}
	d.rpc.Control.Extensions = e
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
