// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	ctls "crypto/tls"
	"errors"
	"fmt"
	"net"
)

// errNotTLS is the error of a connection that begins with something else.
var errNotTLS = errors.New("the remote does not speak TLS")

// alertMeanings say what the remote's alerts mean between libp2p peers. The
// numbers are those of RFC 8446, section 6.
var alertMeanings = map[ctls.AlertError]string{
	10:  "the remote got a message that it did not expect",
	20:  "what the remote got was changed on the way",
	22:  "the remote got a record that is too long",
	40:  "there are no keys or ciphers that both sides have",
	42:  "the remote does not accept our certificate; it may have expected another peer, or its clock is wrong",
	43:  "the remote does not know the sort of our certificate",
	45:  "our certificate has expired, says the remote: one of the clocks is wrong",
	46:  "the remote does not accept our certificate",
	48:  "the remote wants a certificate of an authority, and so does not speak libp2p",
	49:  "the remote denies us access",
	50:  "the remote could not decode a message",
	51:  "a signature of ours did not convince the remote",
	70:  "the remote does not speak TLS 1.3",
	80:  "the remote had an error of its own",
	109: "the remote misses an extension of TLS that we did not send",
	116: "the remote wants a certificate, and got none",
	120: "the remote has none of the application protocols (ALPN) that we offered",
}

// plain puts errors of crypto/tls into plain words.
func plain(err error) error {
	if err == nil {
		return nil
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		for alert, meaning := range alertMeanings {
			if alert.Error() == op.Err.Error() {
				return fmt.Errorf("%s (%w)", meaning, err)
			}
		}
		return err
	}
	if _, ok := errors.AsType[ctls.RecordHeaderError](err); ok {
		return fmt.Errorf("%w: %w", errNotTLS, err)
	}
	return err
}
