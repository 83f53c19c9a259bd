// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// CheckAdminAddress says what is wrong with an address for the admin endpoint.
// The endpoint asks for no password, so it is a unix socket or on a loopback
// address: on any other, Caddy would not even check the Host header.
func CheckAdminAddress(text string) (problem, remedy string) {
	const good = `write "unix//path/to/socket|0600" or "127.0.0.1:2019"`
	text, err := caddy.NewReplacer().ReplaceOrErr(text, true, true)
	if err != nil {
		return err.Error(), good
	}
	addr, err := caddy.ParseNetworkAddress(text)
	switch {
	case err != nil:
		return fmt.Sprintf("%q is no address: %v", text, err), good
	case addr.IsUnixNetwork(), addr.IsFdNetwork():
		return "", ""
	case addr.PortRangeSize() != 1:
		return fmt.Sprintf("%q is not one address", text), good
	}
	ip, err := netip.ParseAddr(addr.Host)
	if strings.EqualFold(addr.Host, "localhost") || err == nil && ip.Unmap().IsLoopback() {
		return "", ""
	}
	return fmt.Sprintf("%q would open the admin endpoint, which asks for no password, to the network", text), good
}

// admin checks what Caddy leaves open in the admin section.
func (c *checker) admin() {
	admin := c.doc.root.member("admin")
	if admin == nil {
		return
	}
	listen := admin.member("listen")
	if listen == nil {
		return
	}
	text, ok := listen.kind.(string)
	if !ok || text == "" {
		return
	}
	if problem, remedy := CheckAdminAddress(text); problem != "" {
		c.add((*path)(nil).to("admin").to("listen"), listen.from, problem, remedy)
	}
}

// plainNumber is what Caddy takes for a number as the value of "@id".
var plainNumber = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)

// nameOf returns the name in the value of an "@id", as the admin API spells it.
// It is empty if Caddy, which cuts these members out of the text, would cut at
// the wrong place, or if a request could not spell it so.
func nameOf(v *value) string {
	switch k := v.kind.(type) {
	case string:
		if !strings.ContainsAny(k, "\"\\/\n") {
			return k
		}
	case json.Number:
		if f, err := k.Float64(); err == nil && plainNumber.MatchString(fmt.Sprint(f)) && plainNumber.MatchString(k.String()) {
			return fmt.Sprint(f)
		}
	}
	return ""
}

// names checks that every "@id" is a string or a number and stands only once.
func (c *checker) names(v *value, at *path, seen map[string]*path) {
	for _, m := range v.members {
		to := at.to(m.key)
		if m.key != idKey {
			c.names(m.value, to, seen)
			continue
		}
		name := nameOf(m.value)
		switch first, twice := seen[name]; {
		case !bytes.HasPrefix(c.doc.text[m.from:], []byte(`"`+idKey+`"`)):
			c.add(to, m.from, "Caddy does not recognise this key", `write "@id" without escapes`)
		case name == "":
			c.mismatch(m.value, to, "a name as a string without quotes and slashes, or a short number")
		case twice:
			c.add(to, m.value.from, fmt.Sprintf("the name %.100q stands at %s too", name, first.pointer()), "choose another one")
		default:
			seen[name] = to
		}
	}
	for i, item := range v.items {
		c.names(item, at.item(i), seen)
	}
}
