// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"net"

	"golang.org/x/net/ipv4"
)

// sieve is a socket as quic-go reads it, without the datagrams that are not
// QUIC's. quic-go itself would keep 32 of them, which is less than a burst of
// SCTP's.
type sieve struct {
	*net.UDPConn
	socket *socket
	batch  batchReader
}

// batchReader reads several datagrams at a time. Every message has one buffer.
type batchReader interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
}

func newSieve(s *socket) *sieve {
	return &sieve{UDPConn: s.udp, socket: s, batch: newBatchReader(s.udp)}
}

// ReadBatch is what quic-go reads with where the system has such a call.
func (v *sieve) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	for {
		n, err := v.batch.ReadBatch(ms, flags)
		if err != nil {
			return n, err
		}
		kept := 0
		for i := range ms[:n] {
			b := ms[i].Buffers[0][:ms[i].N]
			if len(b) == 0 || b[0]&0xc0 != 0 {
				if kept != i { // the buffers have to stay where they are
					ms[kept].N = copy(ms[kept].Buffers[0], b)
					ms[kept].NN = copy(ms[kept].OOB, ms[i].OOB[:ms[i].NN])
					ms[kept].Addr, ms[kept].Flags = ms[i].Addr, ms[i].Flags
				}
				kept++
				continue
			}
			if len(b) <= maxDatagram {
				buffer := v.socket.buffer()
				*buffer = append((*buffer)[:0], b...)
				v.socket.distribute(buffer, ms[i].Addr)
			}
		}
		if kept > 0 {
			return kept, nil
		}
	}
}
