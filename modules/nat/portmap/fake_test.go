// SPDX-License-Identifier: Apache-2.0 OR MIT

package portmap

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// loopback is a gateway on this machine: another address of it than the own one.
var loopback = gateway{router: netip.MustParseAddr("127.0.0.2"), own: netip.MustParseAddr("127.0.0.1")}

// outside is the address that fakes say they have.
var outside = netip.MustParseAddr("5.6.7.8")

// listen opens a UDP port of an address of this machine.
func listen(t testing.TB, ip netip.Addr) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		t.Skipf("this system has no address %s: %v", ip, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func at(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// answering is a gateway that is asked by datagrams.
func answering(t testing.TB, answer func(question []byte) [][]byte) netip.AddrPort {
	t.Helper()
	c := listen(t, loopback.router)
	var wg sync.WaitGroup
	t.Cleanup(func() {
		c.Close()
		wg.Wait()
	})
	wg.Go(func() {
		b := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			for _, a := range answer(b[:n]) {
				c.WriteToUDPAddrPort(a, from)
			}
		}
	})
	return at(c)
}

// fakePMP speaks NAT-PMP: it gives the port that is asked for plus one.
func fakePMP(q []byte) [][]byte {
	b := []byte{0, q[1] + pmpAnswer, 0, 0, 0, 0, 0, 1}
	if q[1] == pmpAddress {
		ip := outside.As4()
		return [][]byte{append(b, ip[:]...)}
	}
	b = append(b, q[4:6]...)
	b = binary.BigEndian.AppendUint16(b, binary.BigEndian.Uint16(q[6:])+1)
	return [][]byte{append(b, q[8:12]...)}
}

// fakePCP speaks PCP.
func fakePCP(q []byte) [][]byte {
	b := append([]byte(nil), q...)
	b[1] |= pcpAnswer
	b[3] = 0
	clear(b[8:pcpHeader])
	binary.BigEndian.PutUint16(b[pcpHeader+18:], binary.BigEndian.Uint16(q[pcpHeader+18:])+1)
	ip := outside.As16()
	copy(b[pcpHeader+20:], ip[:])
	return [][]byte{b}
}

// igd is a gateway that speaks UPnP.
type igd struct {
	search netip.AddrPort // where it is looked for

	mu       sync.Mutex
	location string
	describe http.HandlerFunc
	control  func(action string, args map[string]string) (status int, body string)
	ports    map[string]string // by network and port: to where
	calls    []string
}

const description = `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceList><device><deviceList><device>
<serviceList><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><controlURL>/l3</controlURL></service>
<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:%d</serviceType><controlURL>/control?x=1</controlURL></service>
</serviceList></device></deviceList></device></deviceList></device></root>`

// newIGD starts a gateway; version is that of its service.
func newIGD(t testing.TB, version int) *igd {
	t.Helper()
	g := &igd{ports: make(map[string]string)}
	l, err := net.Listen("tcp4", loopback.router.String()+":0")
	if err != nil {
		t.Skipf("this system has no address %s: %v", loopback.router, err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: g}}
	server.Start()
	t.Cleanup(server.Close)
	g.location = server.URL + "/root.xml"
	g.describe = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, description, version) }
	g.control = g.forward
	g.search = answering(t, func(q []byte) [][]byte {
		if !strings.Contains(string(q), "IPConnection:1") {
			return nil
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		return [][]byte{[]byte("HTTP/1.1 200 OK\r\nST: upnp\r\nLocation: " + g.location + "\r\n\r\n")}
	})
	return g
}

// set changes what the gateway does.
func (g *igd) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

func (g *igd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.URL.Path != "/control" {
		g.describe(w, r)
		return
	}
	args := make(map[string]string)
	b := make([]byte, r.ContentLength)
	r.Body.Read(b)
	elements(b, func(name, text string) { args[name] = text })
	_, action, _ := strings.Cut(strings.Trim(r.Header.Get("SOAPAction"), `"`), "#")
	g.calls = append(g.calls, action)
	status, body := g.control(action, args)
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

func reply(action, values string) string {
	return `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><u:` + action + `Response xmlns:u="x">` +
		values + `</u:` + action + `Response></s:Body></s:Envelope>`
}

func fault(code int) (int, string) {
	return http.StatusInternalServerError, fmt.Sprintf(`<s:Envelope xmlns:s="x"><s:Body><s:Fault><detail><UPnPError><errorCode>%d</errorCode>`+
		`<errorDescription>no</errorDescription></UPnPError></detail></s:Fault></s:Body></s:Envelope>`, code)
}

// forward does what a gateway should.
func (g *igd) forward(action string, args map[string]string) (int, string) {
	key := args["NewProtocol"] + " " + args["NewExternalPort"]
	switch action {
	case "GetExternalIPAddress":
		return http.StatusOK, reply(action, "<NewExternalIPAddress>"+outside.String()+"</NewExternalIPAddress>")
	case "AddPortMapping":
		to := args["NewInternalClient"] + ":" + args["NewInternalPort"]
		if old, have := g.ports[key]; have && old != to {
			return fault(upnpConflict)
		}
		g.ports[key] = to
	case "DeletePortMapping":
		delete(g.ports, key)
	}
	return http.StatusOK, reply(action, "")
}
