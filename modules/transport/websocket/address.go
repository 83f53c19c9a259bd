// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/modules/transport/internal/tcpport"
)

// address is what a multiaddr of this transport says.
type address struct {
	at     netip.AddrPort // zero if name is set
	name   string         // of a host; such an address is served by others
	secure bool
	sni    string // the name that the certificate is checked against; may be empty
	path   string // of the request, with a slash in front; empty means any

	dialled string // the name that at was resolved from; may be empty
}

// The ports of addresses that name none.
var (
	port80  = must(ma.NewComponent("tcp", "80"))
	port443 = must(ma.NewComponent("tcp", "443"))

	compTLS = must(ma.NewComponent("tls", ""))
	compWS  = must(ma.NewComponent("ws", ""))
)

func must(c *ma.Component, err error) *ma.Component {
	if err != nil {
		panic(err)
	}
	return c
}

// parse reads HOST[/tcp/N]/ws, /wss, /tls/ws or /tls/sni/NAME/ws, with or without
// /http-path/PATH behind it. HOST is an IP address or a name.
func parse(a ma.Multiaddr) (address, error) {
	var parsed address
	host, web := splitHost(a)
	if len(web) > 0 && web[len(web)-1].Code() == ma.P_HTTP_PATH {
		parsed.path = string(web[len(web)-1].RawValue())
		if !strings.HasPrefix(parsed.path, "/") {
			parsed.path = "/" + parsed.path
		}
		web = web[:len(web)-1]
	}
	switch {
	case fits(web, ma.P_WS):
	case fits(web, ma.P_WSS), fits(web, ma.P_TLS, ma.P_WS):
		parsed.secure = true
	case fits(web, ma.P_TLS, ma.P_SNI, ma.P_WS):
		parsed.secure, parsed.sni = true, web[1].Value()
	default:
		return address{}, fmt.Errorf("%s: want /ip4/…/tcp/N/ws, …/wss, …/tls/ws or …/tls/sni/NAME/ws", a)
	}
	if err := parsed.setHost(host); err != nil {
		return address{}, fmt.Errorf("%s: %w", a, err)
	}
	if !isPath(parsed.path) || parsed.sni != "" && !isHostname(parsed.sni) {
		return address{}, fmt.Errorf("%s: malformed", a)
	}
	return parsed, nil
}

// splitHost parts an address behind the host and its port.
func splitHost(a ma.Multiaddr) (host, web ma.Multiaddr) {
	i := slices.IndexFunc(a, func(c ma.Component) bool {
		return c.Code() == ma.P_WS || c.Code() == ma.P_WSS || c.Code() == ma.P_TLS
	})
	if i < 0 {
		return a, nil
	}
	return a[:i:i], a[i:]
}

func fits(a ma.Multiaddr, codes ...int) bool {
	return slices.EqualFunc(a, codes, func(c ma.Component, code int) bool { return c.Code() == code })
}

func (p *address) setHost(host ma.Multiaddr) error {
	if len(host) == 0 {
		return errors.New("there is no host")
	}
	if host[len(host)-1].Code() != ma.P_TCP {
		port := port80
		if p.secure {
			port = port443
		}
		host = slices.Concat(host, ma.Multiaddr{*port})
	}
	switch host[0].Code() {
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
		p.name = host[0].Value()
		if len(host) != 2 || !isHostname(p.name) {
			return errors.New("malformed")
		}
		return nil
	}
	at, rest, err := tcpport.Endpoint(host)
	if err == nil && len(rest) > 0 {
		err = errors.New("malformed")
	}
	p.at = at
	return err
}

// maxName is the longest host name, in bytes.
const maxName = 253

// isHostname tells whether a name can stand in a request and a certificate.
func isHostname(name string) bool {
	return len(name) <= maxName && strings.Trim(name, ".") != "" && strings.IndexFunc(name, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		return !letter && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}) < 0
}

func isPath(path string) bool {
	return strings.IndexFunc(path, func(r rune) bool { return r < ' ' || r == 0x7F }) < 0
}

// multiaddr is the address with another end point: a listener's with its real
// port, or one end of a connection.
func (p *address) multiaddr(at netip.AddrPort) (ma.Multiaddr, error) {
	a, err := tcpport.Multiaddr(at)
	if err != nil {
		return nil, err
	}
	if p.secure {
		a = append(a, *compTLS)
	}
	if p.sni != "" {
		sni, err := ma.NewComponent("sni", p.sni)
		if err != nil {
			return nil, err
		}
		a = append(a, *sni)
	}
	a = append(a, *compWS)
	if p.path == "" {
		return a, nil
	}
	path, err := ma.NewComponent("http-path", url.QueryEscape(p.path))
	if err != nil {
		return nil, err
	}
	return append(a, *path), nil
}

// end is the address of one end of a connection as far as others can see it.
func (p *address) end(at netip.AddrPort) (ma.Multiaddr, error) {
	return (&address{secure: p.secure}).multiaddr(at)
}

// host is the value of the Host header.
func (p *address) host() string {
	host, port := cmp.Or(p.sni, p.dialled, p.at.Addr().WithZone("").String()), 80
	if p.secure {
		port = 443
	}
	if int(p.at.Port()) != port {
		return net.JoinHostPort(host, strconv.Itoa(int(p.at.Port())))
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// target is what the request asks for.
func (p *address) target() string {
	if p.path == "" {
		return "/"
	}
	return (&url.URL{Path: p.path}).EscapedPath()
}

// serverName is what the certificate is checked against.
func (p *address) serverName() string {
	if p.sni != "" {
		return p.sni
	}
	return p.at.Addr().WithZone("").String()
}
