// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import "github.com/xnode-p2p/xnode/interop/internal/peers"

// known is something that another peer cannot do. Every run checks that it
// still cannot: a cell that passes all the same makes the run fail.
type known struct {
	server, client string                 // "" for any
	over           func(peers.Stack) bool // nil for all
	operation      string                 // "" for all
	// why is a sentence, with the evidence.
	why string
}

// knowns lists what other peers cannot do.
func knowns() []known {
	private := func(s peers.Stack) bool { return s.Private }
	overWebSocket := func(s peers.Stack) bool { return s.Transport == "ws" || s.Transport == "wss" }
	const (
		salsa = "py-libp2p 0.8.1 encrypts private networks with Salsa20 and nonces of 8 bytes (PskConn in security/pnet/psk_conn.py), " +
			"where the specification has XSalsa20 and 24 bytes; go-libp2p and js-libp2p cannot speak with it either."
		unseen = "py-libp2p 0.8.1 does not know who dialled it over WebSocket (get_remote_address in transport/websocket/connection.py " +
			"returns None), so its identify has no observed address."
		hexKeys = "py-libp2p 0.8.1 has the peer ID in hexadecimal in the keys of /pk records (PublicKeyValidator in records/pubkey.py), and its server " +
			"reads keys as UTF-8 (_do_handle_stream in kad_dht/kad_dht.py), where the specification and everybody else have the bytes of the peer ID."
		namesOnly = "Kubo 0.42.0 puts records of /ipns only: putValueRoutingCmd in core/commands/routing.go takes every key for an IPNS name."
		unnamed   = "py-libp2p 0.8.1 tells a peer that comes through a relay that it sees it at /p2p/…/p2p-circuit/p2p/… (handle_incoming_connection in " +
			"relay/circuit_v2/protocol.py), and js-libp2p's identify 4.1.14 takes no observed address that does not begin with an IP address or a name."
		noDial = "py-libp2p 0.8.1 does not dial a peer that it is connected to, and says that it could (_try_dial in host/autonat/autonat.py " +
			"calls Host.connect)."
		hangsUp = "js-libp2p's AutoNAT 3.0.28 takes the connection that there is for the one that it was to dial (openConnection without force in " +
			"dist/src/autonat.js), and closes it before it has answered."
		zeros = "js-libp2p's floodsub 11.0.28 drops leading zeros of the numbers of messages before it checks signatures (bigIntToBytes in " +
			"dist/src/utils.js), and so refuses all of py-libp2p's, whose numbers begin with zeros (_next_seqno in pubsub/pubsub.py)."
	)
	return []known{
		{server: "py", over: private, why: salsa},
		{client: "py", over: private, why: salsa},
		{server: "py", over: overWebSocket, operation: "identify", why: unseen},
		{server: "py", operation: "public-key", why: hexKeys},
		{client: "py", operation: "public-key", why: hexKeys},
		{client: "kubo", operation: "public-key", why: namesOnly},
		{server: "py", client: "js", operation: "relay", why: unnamed},
		{server: "py", client: "js", operation: "limited", why: unnamed},
		{server: "py", operation: "v1-private", why: noDial},
		{server: "js", operation: "v1-public", why: hangsUp},
		{server: "js", operation: "v1-private", why: hangsUp},
		{server: everybody, operation: peers.Floodsub, why: zeros},
	}
}

// knownReason says why a cell cannot work; empty if it should.
func knownReason(r *row, operation string) string {
	for _, k := range knowns() {
		if (k.server == "" || k.server == r.Server) && (k.client == "" || k.client == r.Client) &&
			(k.over == nil || k.over(r.Stack)) && (k.operation == "" || k.operation == operation) {
			return k.why
		}
	}
	return ""
}
