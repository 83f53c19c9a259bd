// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	ctls "crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Identity is who a node is in TLS: a certificate that its identity key vouches
// for, and what it remembers of other peers' certificates. It may be used by any
// number of connections at once.
type Identity struct {
	signer   core.Identity
	verified verified

	mu      sync.Mutex // guards current
	current *certificate
}

// NewIdentity makes the certificate of a node. The certificate is made anew when
// half its time is over, and when the clock was set.
func NewIdentity(id core.Identity) (*Identity, error) {
	i := &Identity{signer: id}
	if _, err := i.certificate(); err != nil {
		return nil, err
	}
	return i, nil
}

// Config returns how to shake hands, as client or as server, with the peer that
// is expected, or with any if expect is empty. alpn are the application protocols
// in order of preference; a server picks the first of the client's that it has
// too. Who is not expected fails the handshake with a [core.PeerMismatchError].
//
// A config of a server may serve many connections. [PeerKey] says who is on the
// other side of one.
func (i *Identity) Config(expect peer.ID, alpn []string) *ctls.Config {
	return i.config(alpn, func(s ctls.ConnectionState) error {
		_, err := i.authenticate(s, expect)
		return err
	})
}

// config returns a configuration whose handshakes succeed only if authenticate
// does. It is called once a handshake, with the remote's certificates.
func (i *Identity) config(alpn []string, authenticate func(ctls.ConnectionState) error) *ctls.Config {
	c := &ctls.Config{
		MinVersion: ctls.VersionTLS13,
		NextProtos: alpn,
		// There are no authorities to ask and no names to compare. Both sides
		// must have a certificate, and authenticate alone decides.
		InsecureSkipVerify: true,
		ClientAuth:         ctls.RequireAnyClientCert,
		VerifyConnection:   authenticate,
		// A resumed session would be one whose certificate nobody has looked at.
		SessionTicketsDisabled: true,
		// Full records from the first one on.
		DynamicRecordSizingDisabled: true,

		GetCertificate: func(*ctls.ClientHelloInfo) (*ctls.Certificate, error) { return i.certificate() },
		GetClientCertificate: func(*ctls.CertificateRequestInfo) (*ctls.Certificate, error) {
			return i.certificate()
		},
	}
	c.GetConfigForClient = func(hello *ctls.ClientHelloInfo) (*ctls.Config, error) {
		return preferClient(c, hello.SupportedProtos), nil
	}
	return c
}

// preferClient returns c, or a copy of it with which the first of the client's
// protocols is picked that the server has too: crypto/tls picks the first of the
// server's. Without one in common the handshake fails.
func preferClient(c *ctls.Config, client []string) *ctls.Config {
	for n, p := range client {
		switch slices.Index(c.NextProtos, p) {
		case -1:
			continue
		case 0:
			return c
		}
		if slices.ContainsFunc(client[n+1:], func(later string) bool { return slices.Contains(c.NextProtos, later) }) {
			c = c.Clone()
			c.NextProtos = []string{p}
		}
		return c
	}
	return c
}

// certificate returns the certificate to present.
func (i *Identity) certificate() (*ctls.Certificate, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if now := time.Now(); i.current == nil || !i.current.fresh(now) {
		made, err := newCertificate(i.signer, now)
		if err != nil {
			return nil, fmt.Errorf("make a certificate: %w", err)
		}
		i.current = made
	}
	return &i.current.Certificate, nil
}

// authenticate finds out who presented the certificate of a handshake.
func (i *Identity) authenticate(s ctls.ConnectionState, expect peer.ID) (*proof, error) {
	if n := len(s.PeerCertificates); n != 1 {
		return nil, fmt.Errorf("the remote sent %d certificates, want exactly one", n)
	}
	who, err := i.verified.check(s.PeerCertificates[0], time.Now())
	if err != nil {
		return nil, fmt.Errorf("certificate of the remote: %w", err)
	}
	if expect != "" && expect != who.id {
		return nil, &core.PeerMismatchError{Want: expect, Got: who.id}
	}
	return who, nil
}

// PeerKey returns the key of the remote of a connection whose handshake a
// [Identity.Config] has let pass. That the key vouches for the certificate was
// found in the handshake; it is not asked again, and neither is the clock.
func PeerKey(state ctls.ConnectionState) (peer.PublicKey, error) {
	if !state.HandshakeComplete || state.Version < ctls.VersionTLS13 {
		return nil, errors.New("there is no handshake of TLS 1.3 behind the connection")
	}
	if n := len(state.PeerCertificates); n != 1 {
		return nil, fmt.Errorf("the remote sent %d certificates, want exactly one", n)
	}
	c, err := readClaim(state.PeerCertificates[0])
	if err != nil {
		return nil, fmt.Errorf("certificate of the remote: %w", err)
	}
	return c.key, nil
}
