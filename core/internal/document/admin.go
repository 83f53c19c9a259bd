// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"encoding/json"
	"fmt"
	"net/netip"
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
		c.add("/admin/listen", listen.from, problem, remedy)
	}
}

// names checks that every "@id" is a string or a number and stands only once.
func (c *checker) names(v *value, pointer string, seen map[string]string) {
	for _, m := range v.members {
		at := pointer + "/" + escape(m.key)
		if m.key != idKey {
			c.names(m.value, at, seen)
			continue
		}
		name := ""
		switch k := m.kind.(type) {
		case string:
			name = k
		case json.Number:
			name = k.String()
		}
		switch first, twice := seen[name]; {
		case name == "":
			c.mismatch(m.value, at, "a name as a string or a number")
		case twice:
			c.add(at, m.value.from, fmt.Sprintf("the name %q stands at %s too", name, first), "choose another one")
		default:
			seen[name] = at
		}
	}
	for i, item := range v.items {
		c.names(item, fmt.Sprintf("%s/%d", pointer, i), seen)
	}
}
