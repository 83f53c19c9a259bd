// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
)

const (
	// maxSilence is how long a stream waits for a request.
	maxSilence = time.Minute
	// maxAnswering is how long a peer may take to take an answer.
	maxAnswering = 10 * time.Second
)

// errRefused says that a request is one that no honest peer sends, or that this
// node does not answer. The stream is reset.
var errRefused = errors.New("request refused")

// request is a request that is being answered.
type request struct {
	kadwire.Message
	conn core.Conn // of who asks
}

// serve implements [core.StreamHandler].
func (d *dht) serve(s core.Stream) error {
	from := s.Conn().RemotePeer()
	visitor := d.guests.enter(from)
	defer d.guests.leave(visitor)
	r := kadwire.NewReader(s)
	defer r.Free()
	req := &request{conn: s.Conn()}
	for {
		if err := s.SetReadDeadline(time.Now().Add(maxSilence)); err != nil {
			return err
		}
		b, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := req.Decode(b); err != nil {
			d.stats.refused.Add(1)
			return err
		}
		if err := d.pace(visitor, req.Type); err != nil {
			return err
		}
		d.stats.served[req.Type].Add(1)
		answer, err := d.answer(req)
		if err != nil {
			d.stats.refused.Add(1)
			return fmt.Errorf("%v: %w", req.Type, err)
		}
		if answer == nil {
			continue
		}
		err = write(s, answer)
		answer.Free()
		if err != nil {
			return err
		}
	}
}

func write(s core.Stream, answer *kadwire.Buffer) error {
	if err := s.SetWriteDeadline(time.Now().Add(maxAnswering)); err != nil {
		return err
	}
	_, err := s.Write(answer.Frame())
	return err
}

// pace waits until a guest may send a request. Meanwhile its stream is not read.
func (d *dht) pace(v *guest, t kadwire.Type) error {
	wait := v.delay(time.Now(), d.kad, t == kadwire.AddProvider)
	if wait <= 0 {
		return nil
	}
	d.stats.delayed.Add(1)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-d.done:
		return net.ErrClosed
	}
}

// answer returns the answer to a request; nil if it has none.
func (d *dht) answer(req *request) (*kadwire.Buffer, error) {
	switch req.Type {
	case kadwire.FindNode:
		return d.answerFindNode(req)
	case kadwire.GetProviders:
		return d.answerGetProviders(req)
	case kadwire.AddProvider:
		return nil, d.answerAddProvider(req)
	case kadwire.GetValue:
		return d.answerGetValue(req)
	case kadwire.PutValue:
		return d.answerPutValue(req)
	case kadwire.Ping:
		return kadwire.NewBuffer(kadwire.Ping, req.Key, req.Cluster), nil
	}
	return nil, errRefused
}
