// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// carry makes a listener without a port, for connections that an HTTP server
// brings.
func (t *Transport) carry(a ma.Multiaddr, address address) *listener {
	l := &listener{transport: t, address: address, addr: a, entrance: newEntrance()}
	l.place = l.entrance.line.Join()
	l.close = sync.OnceValue(func() error {
		t.mu.Lock()
		t.carried = slices.DeleteFunc(t.carried, func(o *listener) bool { return o == l })
		t.mu.Unlock()
		l.place.Leave()
		return l.entrance.Close()
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	t.carried = append(t.carried, l)
	return l
}

// carriedAddr is the address of a listener without a port.
type carriedAddr string

// Network implements [net.Addr].
func (carriedAddr) Network() string { return "http" }

// String implements [net.Addr].
func (a carriedAddr) String() string { return string(a) }

// carrier is the listener for requests to a host: that of its name, or else the
// newest one. It is nil if there is none.
func (t *Transport) carrier(host string) (found *listener) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range slices.Backward(t.carried) {
		if strings.EqualFold(l.address.name, host) {
			return l
		}
		if found == nil {
			found = l
		}
	}
	return found
}

// ServeHTTP implements [http.Handler]. It lets the HTTP server of somebody else
// carry connections, on a port and a path of its choice, with its certificates.
// They are accepted by the transport's listener on an address that begins with a
// name, /dns/example.com/tcp/443/tls/ws/http-path/libp2p, which is what peers
// are told: if there are several, that with the name in the request, or else the
// newest. Without one it answers 503. The server bounds the time and the size of
// a request; it must speak HTTP/1.1 and let its connections be taken over.
func (t *Transport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l := t.carrier(r.Host)
	no := checkRequest(r)
	if no == nil && l == nil {
		no = &refusal{http.StatusServiceUnavailable, "nobody listens"}
	}
	if no != nil {
		for name, values := range no.header() {
			w.Header()[name] = values
		}
		w.WriteHeader(no.status)
		_, _ = io.WriteString(w, no.why+"\n")
		return
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		http.Error(w, "the client has no IP address", http.StatusInternalServerError)
		return
	}
	socket, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "the connection cannot be taken over", http.StatusNotImplemented)
		return
	}
	if err := l.take(socket, buffered.Reader, r, from); err != nil {
		socket.Close()
		t.log.Debug("handshake", "listener", l.addr, "remote", r.RemoteAddr, "error", err)
	}
}

// take makes a WebSocket of a connection whose request has been read by others,
// and has it accepted.
func (l *listener) take(socket net.Conn, read interface {
	io.Reader
	Buffered() int
}, r *http.Request, from netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), handshakeTimeout)
	defer cancel()
	g, _ := l.entrance.crowd.Enter(from.Addr(), func() {
		cancel()
		socket.Close()
	})
	if g == nil {
		return net.ErrClosed
	}
	defer g.Leave()
	deadline, _ := ctx.Deadline()
	if err := socket.SetDeadline(deadline); err != nil {
		return err
	}
	var rest bytes.Buffer
	if _, err := io.CopyN(&rest, read, int64(read.Buffered())); err != nil {
		return err
	}
	if _, err := socket.Write(switching(r)); err != nil {
		return fmt.Errorf("response: %w", err)
	}
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	client := l.transport.client(from, r.Header)
	c := newConn(socket, false, rest.Bytes(), &l.transport.buffers)
	remote, err := l.address.end(client)
	if err != nil {
		return err
	}
	c.local, c.remote, c.remoteAddr = l.addr, remote, net.TCPAddrFromAddrPort(client)
	if err := socket.SetDeadline(time.Time{}); err != nil {
		return err
	}
	return l.entrance.give(ctx, g, c)
}

var _ http.Handler = (*Transport)(nil)
