// SPDX-License-Identifier: Apache-2.0 OR MIT

package autonat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// minData and maxData are how many bytes a peer pays for a dial of an
	// address that it does not ask from: more than a handshake costs.
	minData = 30_000
	maxData = 100_000
	// dataPiece is the most data of one message.
	dataPiece = 4 << 10
	// minPiece is the least, but for the last one.
	minPiece = 100
	// maxPause bounds the wait before such a dial: who has many servers dial
	// one victim does not have them dial at once.
	maxPause = 3 * time.Second
	// backTime is how long telling the nonce may take.
	backTime = 5 * time.Second
)

var errThinData = errors.New("data in too many pieces")

// serve2 serves a request of version 2.
func (s *server) serve2(stream core.Stream) error {
	ctx, cancel := serveContext()
	defer cancel()
	if err := stream.SetDeadline(time.Now().Add(serveTime)); err != nil {
		return err
	}
	p := stream.Conn().RemotePeer()
	if !s.enter(&s.second, p) {
		return wire.WriteMessage(stream, response2{status: status2Rejected}.marshal())
	}
	defer s.leave()
	b, err := wire.ReadMessage(stream, maxMessage2)
	if err != nil {
		return err
	}
	request, err := unmarshalRequest2(b)
	if err != nil {
		return violation(err)
	}
	answer, err := s.answer2(ctx, stream, request)
	if err != nil {
		return err
	}
	return wire.WriteMessage(stream, answer.marshal())
}

// answer2 dials the first address that it is willing to dial, and no other.
func (s *server) answer2(ctx context.Context, stream core.Stream, request request2) (response2, error) {
	c := stream.Conn()
	p := c.RemotePeer()
	index, addr := -1, ma.Multiaddr(nil)
	for i, a := range request.addrs {
		if a = withoutPeer(a, p); s.willing(p, a) {
			index, addr = i, a
			break
		}
	}
	seen, ok := s.observed(c)
	if index < 0 || !ok {
		return response2{status: status2Refused}, nil
	}
	answer := response2{status: status2OK, index: uint64(index)}
	if ip, _ := peer.IP(addr); ip != seen {
		if !s.takePaid(p) {
			return response2{status: status2Rejected}, nil
		}
		if err := collect(stream, index); err != nil {
			return answer, err
		}
		if err := sleep(ctx, s.pause(maxPause)); err != nil {
			return answer, err
		}
	}
	answer.dial = s.dialBack(ctx, p, addr, request.nonce)
	return answer, nil
}

// collect asks for data and counts what comes of it. Nothing is kept.
func collect(stream core.Stream, index int) error {
	want := minData + rand.IntN(maxData-minData)
	if err := wire.WriteMessage(stream, dataRequest2{uint64(index), uint64(want)}.marshal()); err != nil {
		return err
	}
	for got := 0; got < want; {
		b, err := wire.ReadMessage(stream, dataPiece+16)
		if err != nil {
			return fmt.Errorf("data: %w", err)
		}
		n, err := dataLength(b)
		if err != nil {
			return violation(err)
		}
		if got += n; n < minPiece && got < want {
			return violation(errThinData)
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// dialBack dials an address and tells the nonce there.
func (s *server) dialBack(ctx context.Context, p peer.ID, a ma.Multiaddr, nonce uint64) (status uint64) {
	dial, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	c, err := s.prober.Probe(dial, p, a)
	if err != nil {
		return dialError
	}
	defer c.Close()
	if err := tell(ctx, c, nonce); err != nil {
		s.log.Debug("dialled back in vain", "peer", p, "error", err)
		return dialBackError
	}
	return dialOK
}

// tell sends the nonce, and waits until that has arrived: the connection closes
// then, and takes with it what is on its way.
func tell(ctx context.Context, c core.Probe, nonce uint64) error {
	ctx, cancel := context.WithTimeout(ctx, backTime)
	defer cancel()
	stream, err := c.OpenStream(ctx, DialBackID)
	if err != nil {
		return err
	}
	defer stream.Reset(core.StreamNoError)
	if err := stream.SetDeadline(time.Now().Add(backTime)); err != nil {
		return err
	}
	if err := wire.WriteMessage(stream, marshalDialBack(nonce)); err != nil {
		return err
	}
	if err := stream.CloseWrite(); err != nil {
		return err
	}
	// Whatever the answer is, or its end, the nonce came before.
	if _, err = wire.ReadMessage(stream, maxDialBack); err == io.EOF || errors.Is(err, core.ErrReset) {
		return nil
	}
	return err
}
