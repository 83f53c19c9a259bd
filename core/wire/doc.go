// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package wire decodes what peers send, with a bound on everything.
//
// It holds the few shapes that nearly every libp2p protocol shares: unsigned
// varints (https://github.com/multiformats/unsigned-varint), messages prefixed
// with their length as such a varint, protobuf fields
// (https://protobuf.dev/programming-guides/encoding/), and text that is shown
// to people. A protocol that reads its messages through this package cannot be
// made to allocate more than it has received, to loop, or to panic.
//
// A typical message is read in two steps: [ReadMessage] takes one message of at
// most so many bytes off the stream, and [Fields] walks its fields:
//
//	b, err := wire.ReadMessage(stream, 4096)
//	…
//	names := wire.Quota(100) // at most 100 names a message
//	for f, err := range wire.Fields(b) {
//		if err != nil {
//			return err
//		}
//		switch f.Num {
//		case 1:
//			m.seq, err = f.Uint64()
//		case 2:
//			if err = names.Take(); err == nil {
//				name, err = f.Bytes()
//				…
//			}
//		}
//		if err != nil {
//			return err
//		}
//	}
package wire
