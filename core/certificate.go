// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"crypto/tls"
	"net/netip"
)

// CertificateSource is where a transport gets the TLS certificates that it shows
// to browsers and other clients that check them against the authorities of the
// web. Its modules are guests of transports, in the namespace xnode.certificate:
//
//	"transports": {"websocket": {"certificate": {"module": "file", …}}}
//
// Provision and Validate need not have a certificate: one that is still to be
// issued may come at any time. A source that has work to do on its own, or wants
// to know the node's addresses or its key, is a [Service] too; its transport
// starts and closes it together with itself.
type CertificateSource interface {
	// Certificate returns the certificate for the client that sent hello,
	// with its key and chain; the name asked for is hello.ServerName, which
	// may be empty. It is called for every handshake, from many goroutines,
	// and ends with hello.Context(), so it may wait a while for a certificate
	// that is on its way. With an error the handshake fails. A client that
	// offers the protocol acme-tls/1 alone is an authority that looks for the
	// answer to its challenge; who asked for that returns it.
	Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error)

	// ServerNames are the names that are told to peers: under each, a client
	// that connects to ip and asks for it is shown a certificate that is valid
	// at the time. It is empty while there is none, and if ip is among what
	// the names do not lead to. It does not wait.
	ServerNames(ip netip.Addr) []string

	// Watch calls f whenever the answers of ServerNames may have changed,
	// until stop is called. f does not block, and f may be called from any
	// goroutine. stop does not wait for a call that is under way.
	Watch(f func()) (stop func())
}
