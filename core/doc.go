// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package core is the contract between an xnode and its modules: the kinds of
// module there are, how they are registered and loaded, and what a running
// module may ask of its node. It holds no node: core/host assembles one.
//
// # The life of a configuration
//
// One JSON document names the modules of a node:
//
//	{"apps": {"xnode": {"transports": {"tcp": {}}, "security": [{"module": "noise"}], …}}}
//
// Every module registered itself when the program started, in its init
// function, with [Register], under an ID such as xnode.transport.tcp. The host
// decodes the document strictly; each section is a [Map] or a [List] of one
// kind, and loading it makes, for every entry, a new value of the module
// (New), fills in its JSON, and calls Provision and Validate. Provision sets
// defaults; it opens no socket, starts nothing and sees no other module, so a
// document can be checked completely without touching a running node.
//
// Then the host starts: it starts the transports, securities and muxers that
// are a [Service] too, binds the listeners, calls Start on every other service
// in the order storage, nat, routing, pubsub, discovery, protocols, and only
// then opens the doors to peers. Closing goes the other way. A reload starts
// the new modules beside the running ones, and closes those that are no longer
// wanted only after everything new has started; a module whose JSON did not
// change is not touched, nor is any connection.
//
// # The life of a connection
//
// A [RawTransport] accepts or dials a plain connection. The swarm counts it
// against the limits, asks the gater, and upgrades it, in one place: a
// [SecureChannel] is negotiated and turns it into a [SecureConn], a [Muxer] turns
// that into a [Session]. A [MuxedTransport] brings all three itself. The swarm
// adds the result to its table as a [Conn], tells the event bus, and accepts
// streams on it until it closes. Identify runs on every new connection.
//
// Every inbound stream has one goroutine: it negotiates the protocol, calls
// the [StreamHandler] that was registered with [Streams].Handle, and closes
// the stream when the handler returns. An outbound stream begins with
// [Streams].NewStream, which dials first if there is no connection. Each dial
// leaves a [DialRecord] that says what was tried and why the rest was not.
//
// # What a module has
//
// The struct that is registered is both: its exported fields are its part of
// the document, the others its state. Provision(caddy.Context) error sets
// defaults, expands placeholders ([Expand]), keeps a logger ([Logger]) and
// loads guests ([Map], [List], [One]); Validate() error rejects what cannot be
// meant. [Duration] and [Size] are the types for times and bytes. From Start on
// a module has its [Node]: it takes from it the roles it needs, follows events
// with [On], and finds other modules with [Find]. What it registers there it
// takes back in Close. The suites of package coretest say the rest.
package core
