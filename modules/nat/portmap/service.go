// SPDX-License-Identifier: Apache-2.0 OR MIT

package portmap

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// maxDocument bounds what is read of an answer over HTTP, in bytes.
	maxDocument = 64 << 10
	// maxLocations is how many devices of the gateway are looked at.
	maxLocations = 8
	// maxShown bounds what an error shows of what the gateway says, in bytes.
	maxShown = 128
)

// service is what a gateway forwards ports with.
type service struct {
	client  *http.Client
	control string // where it is called
	kind    string // which it is
}

// kinds are the services that forward ports, best first.
var kinds = []string{
	"urn:schemas-upnp-org:service:WANIPConnection:2",
	"urn:schemas-upnp-org:service:WANIPConnection:1",
	"urn:schemas-upnp-org:service:WANPPPConnection:1",
}

// searched is what is looked for on the network.
var searched = []string{
	"urn:schemas-upnp-org:device:InternetGatewayDevice:2",
	"urn:schemas-upnp-org:device:InternetGatewayDevice:1",
	kinds[0], kinds[1], kinds[2],
}

var (
	errNoService = errors.New("the gateway offers no service that forwards ports")
	errElsewhere = errors.New("leads to somebody else than the gateway")
)

// discover looks for the gateway's service. What others answer is not looked at.
func discover(ctx context.Context, g gateway, search netip.AddrPort) (*service, error) {
	locations, err := locate(ctx, g, search)
	if err != nil {
		return nil, err
	}
	client := clientFor(g)
	var errs []error
	for _, l := range locations {
		s, err := describe(ctx, client, g, l)
		if err == nil {
			return s, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// locate asks who is a gateway, and returns where the default gateway says that
// it describes itself.
func locate(ctx context.Context, g gateway, search netip.AddrPort) ([]string, error) {
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(g.own, 0)))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	for _, what := range searched {
		question := "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: " + what + "\r\n\r\n"
		if _, err := c.WriteToUDPAddrPort([]byte(question), search); err != nil {
			return nil, err
		}
	}
	until := time.Now().Add(answerTime / 2)
	var list []string
	answer := make([]byte, 2048)
	for len(list) < maxLocations && ctx.Err() == nil {
		c.SetReadDeadline(until)
		n, from, err := c.ReadFromUDPAddrPort(answer)
		if err != nil {
			break
		}
		if from.Addr().Unmap() != g.router {
			continue
		}
		if l := location(answer[:n]); l != "" && !slices.Contains(list, l) {
			list = append(list, l)
			until = time.Now().Add(answerTime / 10) // for what else there is
		}
	}
	if len(list) == 0 {
		return nil, errNoAnswer
	}
	return list, nil
}

// location returns the address in an answer to a search; empty if there is none.
func location(b []byte) string {
	lines := strings.Split(string(b), "\r\n")
	if !strings.HasPrefix(lines[0], "HTTP/1.") {
		return ""
	}
	for _, line := range lines[1:] {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(name), "location") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// clientFor speaks HTTP to a gateway and nobody else.
func clientFor(g gateway) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: g.own.AsSlice()}}
	return &http.Client{
		Timeout:       answerTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: maxDocument,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				to, err := netip.ParseAddrPort(addr)
				if err != nil || to.Addr().Unmap() != g.router {
					return nil, fmt.Errorf("%s: %w", addr, errElsewhere)
				}
				return dialer.DialContext(ctx, network, addr)
			},
		},
	}
}

// fetch reads an answer over HTTP.
func fetch(client *http.Client, r *http.Request) (status int, body []byte, err error) {
	response, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err == nil && len(body) > maxDocument {
		err = fmt.Errorf("more than %d bytes", maxDocument)
	}
	return response.StatusCode, body, err
}

// describe reads where a device describes itself which services it has.
func describe(ctx context.Context, client *http.Client, g gateway, location string) (*service, error) {
	base, err := own(g, nil, location)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String(), nil)
	if err != nil {
		return nil, err
	}
	status, body, err := fetch(client, r)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d", wire.Text(location, maxShown), status)
	}
	controls, err := services(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", wire.Text(location, maxShown), err)
	}
	for _, kind := range kinds {
		if path, ok := controls[kind]; ok {
			control, err := own(g, base, path)
			if err != nil {
				return nil, err
			}
			return &service{client: client, control: control.String(), kind: kind}, nil
		}
	}
	return nil, errNoService
}

// own reads an address that must lead to the gateway: by its number, no name.
func own(g gateway, base *url.URL, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if base != nil {
		u = base.ResolveReference(u)
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err != nil || ip.Unmap() != g.router || u.Scheme != "http" || u.User != nil {
		return nil, fmt.Errorf("%s: %w", wire.Text(text, maxShown), errElsewhere)
	}
	return u, nil
}

// services lists the services in the description of a device, and where they are
// called; the first of a kind counts.
func services(b []byte) (map[string]string, error) {
	list := make(map[string]string) // bounded by maxDocument
	var kind, control string
	err := elements(b, func(name, text string) {
		switch name {
		case "serviceType":
			kind = text
		case "controlURL":
			control = text
		case "service":
			if _, have := list[kind]; !have {
				list[kind] = control
			}
			kind, control = "", ""
		}
	})
	return list, err
}

// elements calls f at the end of each element of an XML document, with its name
// and the text right before that end. It keeps nothing, however deep they are.
func elements(b []byte, f func(name, text string)) error {
	d := xml.NewDecoder(bytes.NewReader(b))
	text := ""
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			text = ""
		case xml.CharData:
			text = string(t)
		case xml.EndElement:
			f(t.Name.Local, strings.TrimSpace(text))
			text = ""
		}
	}
}

// faultError is an error that a gateway answers with.
type faultError struct {
	code int
	text string
}

// Error implements error.
func (e *faultError) Error() string {
	return fmt.Sprintf("the gateway refuses: error %d %s", e.code, e.text)
}

// call calls an action of the service with arguments, which are names and values
// in turn, and returns the values in the answer.
func (s *service) call(ctx context.Context, action string, args ...string) (map[string]string, error) {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0"?>` + "\n" + `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" ` +
		`s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:` + action + ` xmlns:u="` + s.kind + `">`)
	for i := 0; i+1 < len(args); i += 2 {
		b.WriteString("<" + args[i] + ">" + args[i+1] + "</" + args[i] + ">") // of our own making all
	}
	b.WriteString("</u:" + action + "></s:Body></s:Envelope>")
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.control, &b)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", `text/xml; charset="utf-8"`)
	r.Header["SOAPAction"] = []string{`"` + s.kind + "#" + action + `"`} // some gateways want it written so
	status, body, err := fetch(s.client, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	values := make(map[string]string) // bounded by maxDocument
	err = elements(body, func(name, text string) { values[name] = text })
	if code, number := strconv.Atoi(values["errorCode"]); number == nil && status != http.StatusOK {
		return nil, fmt.Errorf("%s: %w", action, &faultError{code, wire.Text(values["errorDescription"], maxShown)})
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d", action, status)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	return values, nil
}
