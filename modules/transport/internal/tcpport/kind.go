// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

// Kind is what is spoken on a connection, as its first bytes tell.
type Kind uint8

// The kinds of connection.
const (
	// Multistream is what begins neither as TLS nor as HTTP does: a
	// multistream-select header, or the random bytes of a private network.
	// Its listener also gets the connections of a kind that nobody wants.
	Multistream Kind = iota
	// TLS begins with the record of a client's hello.
	TLS
	// HTTP begins with the method of a request.
	HTTP

	kinds = iota
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Multistream:
		return "multistream"
	case TLS:
		return "TLS"
	case HTTP:
		return "HTTP"
	}
	return "unknown"
}

// maxHead is how many bytes tell a kind: the longest method and the space after it.
const maxHead = len("CONNECT ")

// classify tells the kind of a connection that begins with b. It is not decided
// while more bytes could tell another kind; maxHead bytes always decide.
func classify(b []byte) (kind Kind, decided bool) {
	if len(b) == 0 {
		return Multistream, false
	}
	if kind, possible, decided := classifyTLS(b); possible {
		return kind, decided
	}
	for _, method := range [...]string{
		"GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS ", "TRACE ", "CONNECT ",
		"PRI ", // HTTP/2 with prior knowledge
	} {
		n := min(len(b), len(method))
		if string(b[:n]) == method[:n] {
			return HTTP, n == len(method)
		}
	}
	return Multistream, true
}

// classifyTLS knows the beginning of a handshake record: its type, then the
// version, whose first byte is 3 in all versions and whose second is 4 at most.
func classifyTLS(b []byte) (kind Kind, possible, decided bool) {
	if b[0] != 0x16 || len(b) > 1 && b[1] != 3 || len(b) > 2 && b[2] > 4 {
		return 0, false, false
	}
	return TLS, true, len(b) > 2
}
