// SPDX-License-Identifier: Apache-2.0 OR MIT

package peeridauth

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Scheme is the name of the authentication scheme.
const Scheme = "libp2p-PeerID"

// maxHeader bounds a header of the scheme, in bytes.
const maxHeader = 2048

// errMalformed says that a header is not what RFC 9110 wants.
var errMalformed = errors.New("malformed header")

// params are the parameters of the scheme in one header. There are no more of
// them than fit into maxHeader.
type params map[string]string

// find returns the parameters of the scheme in the headers of one name, which
// may hold those of other schemes too. They are nil if the scheme is in none.
func find(headers []string) (params, error) {
	for _, h := range headers {
		if p, err := parse(h); p != nil || err != nil {
			return p, err
		}
	}
	return nil, nil
}

// parse reads a list of schemes and their parameters. Between two parameters
// stands a comma, a space, or both.
func parse(header string) (params, error) {
	if len(header) > maxHeader {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", errMalformed, len(header), maxHeader)
	}
	var found params
	own := false // whether the parameters are the scheme's
	for rest := strings.TrimLeft(header, ", \t"); rest != ""; rest = strings.TrimLeft(rest, ", \t") {
		var name string
		name, rest = cutToken(rest)
		if name == "" {
			return nil, errMalformed
		}
		if !strings.HasPrefix(rest, "=") { // a scheme
			own = strings.EqualFold(name, Scheme) && found == nil
			if own {
				found = make(params)
			}
			continue
		}
		value, after, err := cutValue(rest[1:])
		if err != nil {
			return nil, err
		}
		rest = after
		if !own {
			continue
		}
		if _, twice := found[name]; twice {
			return nil, fmt.Errorf("%w: %q comes twice", errMalformed, name)
		}
		found[name] = value
	}
	return found, nil
}

// cutToken cuts off what stands before a separator.
func cutToken(s string) (token, rest string) {
	if i := strings.IndexAny(s, "=, \t\""); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// cutValue cuts off a quoted string, or what stands before a comma or a space.
func cutValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		if i := strings.IndexAny(s, ", \t"); i >= 0 {
			return s[:i], s[i:], nil
		}
		return s, "", nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], nil
		case '\\':
			if i++; i == len(s) {
				return "", "", errMalformed
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", fmt.Errorf("%w: a quote is not closed", errMalformed)
}

// format writes a header with the parameters that are not empty.
func format(list ...[2]string) string {
	var parts []string
	for _, p := range list {
		if p[1] != "" {
			parts = append(parts, fmt.Sprintf(`%s="%s"`, p[0], p[1]))
		}
	}
	return Scheme + " " + strings.Join(parts, ", ")
}

// quotable tells whether a value can be sent between quotes as it is.
func quotable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) < 0
}

// encode and decode are base64 as the scheme has it. It may come without padding.
func encode(b []byte) string { return base64.URLEncoding.EncodeToString(b) }

func decode(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return b, nil
}

// signed returns what a signature over parameters is made of.
func signed(list ...[2]string) []byte {
	slices.SortFunc(list, func(x, y [2]string) int { return strings.Compare(x[0], y[0]) })
	b := []byte(Scheme)
	for _, p := range list {
		b = binary.AppendUvarint(b, uint64(len(p[0])+1+len(p[1])))
		b = append(append(append(b, p[0]...), '='), p[1]...)
	}
	return b
}
