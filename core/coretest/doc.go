// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package coretest tests modules: it loads them as a node does ([Load]), fakes
// the node they run in ([FakeNodes], [NewIdentity], [NewMemory]), and has one
// suite for every kind of module, written from the comments in package core.
//
// The whole test of a transport is
//
//	tr, err := coretest.Load[core.RawTransport](t, "tcp", `{}`)
//	…
//	coretest.TestRawTransport(t, tr, ma.StringCast("/ip4/127.0.0.1/tcp/0"))
//
// Every case of a suite fails if goroutines outlive it. Suites are not to run in
// parallel with other tests of their package, nor in a synctest bubble.
package coretest
