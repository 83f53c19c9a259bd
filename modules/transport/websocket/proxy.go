// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// The PROXY protocol, https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt:
// a header, in text or in binary, that a proxy sends ahead of a connection.
const (
	proxy1     = "PROXY "
	proxy2     = "\r\n\r\n\x00\r\nQUIT\n"
	maxProxy1  = 107 // of version 1, in bytes
	sizeProxy2 = 16  // of version 2, in bytes, without what its length covers
	// maxProxy bounds a header of version 2, in bytes. Addresses take 36 at
	// most, but a proxy may add what it knows of the client's TLS.
	maxProxy = 2 << 10
)

var errProxy = errors.New("PROXY header malformed")

// readProxy reads the header of a connection from a trusted proxy, which must
// have one. client is zero if the connection is the proxy's own.
func (p *prefixed) readProxy() (client netip.AddrPort, err error) {
	buf := make([]byte, 256)
	for filled := 0; ; {
		n, err := p.Conn.Read(buf[filled:])
		filled += n
		client, size, wrong := parseProxy(buf[:filled])
		switch {
		case wrong != nil:
			return client, wrong
		case size > 0:
			p.rest = buf[size:filled]
			return client, nil
		case errors.Is(err, io.EOF):
			return client, fmt.Errorf("PROXY header cut off: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return client, err
		case filled == len(buf):
			buf = append(buf, make([]byte, len(buf))...) // parseProxy has a bound
		}
	}
}

// parseProxy reads the header that b begins with. size is what it takes, or 0 if
// b ends before the header does. client is zero if it names none.
func parseProxy(b []byte) (client netip.AddrPort, size int, err error) {
	switch {
	case bytes.HasPrefix(b, []byte(proxy2)):
		return parseProxy2(b)
	case bytes.HasPrefix(b, []byte(proxy1)):
		return parseProxy1(b)
	case bytes.HasPrefix([]byte(proxy2), b), bytes.HasPrefix([]byte(proxy1), b):
		return client, 0, nil
	}
	return client, 0, fmt.Errorf("%w: there is none", errProxy)
}

// parseProxy1 reads PROXY TCP4 192.0.2.1 198.51.100.1 56324 443, or PROXY UNKNOWN …
func parseProxy1(b []byte) (client netip.AddrPort, size int, err error) {
	end := bytes.Index(b[:min(len(b), maxProxy1)], []byte("\r\n"))
	if end < 0 {
		if len(b) >= maxProxy1 {
			return client, 0, fmt.Errorf("%w: longer than %d bytes", errProxy, maxProxy1)
		}
		return client, 0, nil
	}
	fields := strings.Split(string(b[len(proxy1):end]), " ")
	if fields[0] == "UNKNOWN" {
		return client, end + 2, nil
	}
	if len(fields) != 5 {
		return client, 0, errProxy
	}
	ip, err := netip.ParseAddr(fields[1])
	port, portErr := strconv.ParseUint(fields[3], 10, 16)
	if err != nil || portErr != nil || ip.Zone() != "" ||
		fields[0] != "TCP4" && fields[0] != "TCP6" || (fields[0] == "TCP4") != ip.Is4() {
		return client, 0, errProxy
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(port)), end + 2, nil
}

// What the two bytes behind the signature of version 2 say.
const (
	proxy2Local = 0x20 // version 2, the proxy's own connection
	proxy2Proxy = 0x21 // version 2, somebody's connection
	proxy2TCP4  = 0x11
	proxy2TCP6  = 0x21
)

func parseProxy2(b []byte) (client netip.AddrPort, size int, err error) {
	if len(b) < sizeProxy2 {
		return client, 0, nil
	}
	command, family := b[12], b[13]
	size = sizeProxy2 + int(binary.BigEndian.Uint16(b[14:]))
	switch {
	case command != proxy2Local && command != proxy2Proxy:
		return client, 0, fmt.Errorf("%w: version and command %#x", errProxy, command)
	case size > maxProxy:
		return client, 0, fmt.Errorf("%w: %d bytes, limit %d", errProxy, size, maxProxy)
	case len(b) < size:
		return client, 0, nil
	case command == proxy2Local:
		return client, size, nil
	}
	body, ip := b[sizeProxy2:size], 0
	switch family {
	case proxy2TCP4:
		ip = 4
	case proxy2TCP6:
		ip = 16
	default:
		return client, size, nil // such as a Unix socket: nobody that has an address
	}
	if len(body) < 2*ip+4 { // both ends, and their ports behind them
		return client, 0, errProxy
	}
	addr, _ := netip.AddrFromSlice(body[:ip])
	return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(body[2*ip:])), size, nil
}
