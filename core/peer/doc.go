// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package peer holds the values that name a peer: its keys, its ID, and the
// addresses at which it is reached.
//
// Keys and IDs follow
// https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md, addresses
// https://github.com/libp2p/specs/blob/master/addressing/README.md.
//
// Every key that comes from a peer, whatever protocol carries it, goes through
// [UnmarshalPublicKey], and every address through [DecodeAddr]: the checks and
// the bounds are there and nowhere else. A [PrivateKey] shows nothing of itself
// when it is printed, logged or put into JSON.
package peer
