// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package record holds what peers keep for each other: signed envelopes, the
// peer records that travel in them, and the records of a value store.
//
// An [Envelope] is a payload with the public key and the signature of whoever
// made it (https://github.com/libp2p/specs/blob/master/RFC/0002-signed-envelopes.md).
// A [PeerRecord] is a peer's statement of its own addresses
// (https://github.com/libp2p/specs/blob/master/RFC/0003-routing-records.md).
//
// A peer record from the network is opened by [ConsumePeerRecord] and by
// nothing else: whether it came by identify, from the DHT, by peer exchange or
// from a rendezvous point, the same five checks stand between it and the
// address book.
//
// A [ValueRecord] is a value under a key that names how it proves itself
// (https://github.com/libp2p/specs/blob/master/kad-dht/README.md).
// [Validators] are what every one of them has to pass, wherever it is from.
package record
