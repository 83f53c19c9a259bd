// SPDX-License-Identifier: Apache-2.0 OR MIT

package dtlslink

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
)

// errNoCertificate means that there is nothing to know the remote by.
var errNoCertificate = errors.New("the remote has no certificate")

// HashSize is the size of the SHA-256 of a certificate.
const HashSize = sha256.Size

// srtpProfiles are offered and accepted because some insist on them. Nothing is
// ever sent with one.
var srtpProfiles = []dtls.SRTPProtectionProfile{
	dtls.SRTP_AEAD_AES_128_GCM,
	dtls.SRTP_AES128_CM_HMAC_SHA1_80,
}

// Config is what a handshake is made with.
type Config struct {
	// Client is true on the side that begins.
	Client bool
	// Certificate is this side's.
	Certificate tls.Certificate
	// Verify says whether the remote's certificate, of which it gets the hash,
	// is the right one; nil takes any.
	Verify func(hash [HashSize]byte) error
	// Logs is where the library logs.
	Logs logging.LoggerFactory
}

// Handshake performs the handshake, and returns the hash of the remote's
// certificate, whose key the remote has. The link is then a [net.Conn].
func (l *Link) Handshake(ctx context.Context, config Config) (remote [HashSize]byte, err error) {
	c, err := l.begin(config)
	if err != nil {
		return remote, err
	}
	if err := c.HandshakeContext(ctx); err != nil {
		return remote, errors.Join(err, c.Close())
	}
	state, ok := c.ConnectionState()
	if !ok || len(state.PeerCertificates) == 0 {
		return remote, errors.Join(errNoCertificate, c.Close())
	}
	keys, err := takeOver(&state)
	if err != nil {
		return remote, errors.Join(err, c.Close())
	}
	l.records.Store(keys)
	l.library.Store(c)
	if config.Client {
		l.settle() // the server has finished, or there would be no end of it here
	}
	return sha256.Sum256(state.PeerCertificates[0]), nil
}

// begin prepares the library's handshake.
func (l *Link) begin(config Config) (*dtls.Conn, error) {
	shared := []dtls.Option{
		dtls.WithCertificates(config.Certificate),
		dtls.WithCipherSuites(cipherSuites...),
		dtls.WithSRTPProtectionProfiles(srtpProfiles...),
		dtls.WithLoggerFactory(config.Logs),
		dtls.WithInsecureSkipVerify(true), // no authority vouches for it; its hash is what counts
		dtls.WithVerifyPeerCertificate(config.verify),
	}
	if config.Client {
		var options []dtls.ClientOption
		for _, o := range shared {
			options = append(options, o)
		}
		return dtls.ClientWithOptions(handshakeConn{l}, l.RemoteAddr(), options...)
	}
	options := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert)}
	for _, o := range shared {
		options = append(options, o)
	}
	return dtls.ServerWithOptions(handshakeConn{l}, l.RemoteAddr(), options...)
}

func (c *Config) verify(raw [][]byte, _ [][]*x509.Certificate) error {
	switch {
	case len(raw) == 0:
		return errNoCertificate
	case c.Verify == nil:
		return nil
	}
	return c.Verify(sha256.Sum256(raw[0]))
}
