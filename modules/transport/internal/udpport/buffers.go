// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import "os"

// wantBuffers is what quic-go asks the system for, in bytes, for each direction.
const wantBuffers = 7 << 20

// buffersRemedy is for Linux; other systems are not asked about it.
const buffersRemedy = "sysctl -w net.core.rmem_max=7500000 net.core.wmem_max=7500000"

// quietBuffers is quic-go's switch for its own warning, which goes to standard
// error. [Port.WarnBuffers] is in its place.
const quietBuffers = "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING"

func init() {
	if _, set := os.LookupEnv(quietBuffers); !set {
		os.Setenv(quietBuffers, "true")
	}
}
