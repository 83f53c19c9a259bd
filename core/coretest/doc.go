// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package coretest tests modules: it loads them as a node does ([Load]), fakes
// the node they run in ([FakeNodes], [NewIdentity], [NewMemory]), and has one
// suite for every kind of module, written from the comments in package core.
//
// The whole test of a transport is
//
//	tcp := coretest.MustLoad[core.RawTransport](t, "tcp", `{}`)
//	coretest.TestRawTransport(t, tcp, ma.StringCast("/ip4/127.0.0.1/tcp/0"))
//
// and likewise with [TestSecurity], [TestMuxer], [TestMuxedTransport], [TestStorage]
// and [TestTopicValidator]. A service has [TestLifecycle], and what it does is
// tested between fake nodes:
//
//	nodes := coretest.FakeNodes(t, 2)
//	echo := coretest.MustLoad[core.Protocol](t, "echo", `{}`)
//	if err := echo.Start(t.Context(), nodes[0]); err != nil {
//		t.Fatal(err)
//	}
//	defer echo.Close()
//	s, err := nodes[1].NewStream(t.Context(), nodes[0].ID(), "/echo/1.0.0")
//
// [TestConfigs] has good and bad configurations of any module. Whole nodes are
// in package hosttest.
//
// Every case of a suite fails if goroutines outlive it. Suites are not to run in
// parallel with other tests of their package, nor in a synctest bubble.
package coretest
