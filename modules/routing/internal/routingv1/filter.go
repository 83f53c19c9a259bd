// SPDX-License-Identifier: Apache-2.0 OR MIT

package routingv1

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	ma "github.com/multiformats/go-multiaddr"
)

// The parameters of queries that filter.
const (
	paramAddrs     = "filter-addrs"
	paramProtocols = "filter-protocols"
)

const (
	// maxFilters bounds the names in a filter, maxName the bytes of each.
	maxFilters = 64
	maxName    = 63
)

// unknown stands for records that do not say where the peer is, or what it speaks.
const unknown = "unknown"

// Filter says which records, and which addresses of them, are wanted. The zero
// Filter wants all. https://specs.ipfs.tech/ipips/ipip-0484/
type Filter struct {
	addrs, notAddrs, protocols []string // lower case
}

// NewFilter makes a filter of names of protocols of addresses, those that are not
// wanted with ! before them, and of names of protocols for transfer.
func NewFilter(addrs, protocols []string) (Filter, error) {
	var f Filter
	if len(addrs) > maxFilters || len(protocols) > maxFilters {
		return f, fmt.Errorf("more than %d names in a filter", maxFilters)
	}
	for _, name := range slices.Concat(addrs, protocols) {
		if len(name) > maxName || strings.Trim(name, "!") == "" {
			return f, fmt.Errorf("%.*q is no name of a protocol", maxName, name)
		}
	}
	for _, name := range addrs {
		if not, ok := strings.CutPrefix(strings.ToLower(name), "!"); ok {
			f.notAddrs = append(f.notAddrs, not)
			continue
		}
		f.addrs = append(f.addrs, strings.ToLower(name))
	}
	for _, name := range protocols {
		f.protocols = append(f.protocols, strings.ToLower(name))
	}
	return f, nil
}

// ParseFilter reads the filter in the query of a request.
func ParseFilter(query url.Values) (Filter, error) {
	names := func(param string) []string {
		return strings.FieldsFunc(query.Get(param), func(r rune) bool { return r == ',' || r == ' ' })
	}
	return NewFilter(names(paramAddrs), names(paramProtocols))
}

// Query is the filter as the query of a request.
func (f Filter) Query() url.Values {
	query := make(url.Values)
	addrs := slices.Clone(f.addrs)
	for _, not := range f.notAddrs {
		addrs = append(addrs, "!"+not)
	}
	if len(addrs) > 0 {
		query.Set(paramAddrs, strings.Join(addrs, ","))
	}
	if len(f.protocols) > 0 {
		query.Set(paramProtocols, strings.Join(f.protocols, ","))
	}
	return query
}

// Apply returns the record with those of its addresses that are wanted, and
// whether it is wanted itself.
func (f Filter) Apply(r Record) (Record, bool) {
	if !f.speaks(r.Protocols) {
		return r, false
	}
	if len(f.addrs) == 0 && len(f.notAddrs) == 0 {
		return r, true
	}
	if len(r.Addrs) == 0 {
		return r, slices.Contains(f.addrs, unknown)
	}
	var addrs []ma.Multiaddr
	for _, a := range r.Addrs {
		if f.wants(a) {
			addrs = append(addrs, a)
		}
	}
	r.Addrs = addrs
	return r, len(addrs) > 0
}

func (f Filter) speaks(protocols []string) bool {
	if len(f.protocols) == 0 || len(protocols) == 0 && slices.Contains(f.protocols, unknown) {
		return true
	}
	return slices.ContainsFunc(protocols, func(p string) bool { return slices.Contains(f.protocols, strings.ToLower(p)) })
}

func (f Filter) wants(a ma.Multiaddr) bool {
	wanted := len(f.addrs) == 0
	for _, c := range a {
		name := c.Protocol().Name
		if slices.Contains(f.notAddrs, name) {
			return false
		}
		wanted = wanted || slices.Contains(f.addrs, name)
	}
	return wanted
}
