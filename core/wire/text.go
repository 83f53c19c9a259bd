// SPDX-License-Identifier: Apache-2.0 OR MIT

package wire

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Text makes text from a peer fit for terminals, logs and labels: the result is
// printable UTF-8 of at most max bytes (256 is usual). Control characters,
// escape sequences, line and direction marks, odd spaces and bytes that are not
// UTF-8 appear as Go escapes such as \n, \x1b or \u202e; what does not fit is
// cut off, never within a character or an escape. Text that is already fit
// comes back unchanged, so applying Text twice does no harm.
func Text(s string, max int) string {
	if len(s) <= max && isPlain(s) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		piece := s[i : i+n]
		switch {
		case r == utf8.RuneError && n == 1:
			piece = `\x` + hexByte(s[i])
		case !strconv.IsPrint(r):
			piece = escape(r)
		}
		if out.Len()+len(piece) > max {
			break
		}
		out.WriteString(piece)
		i += n
	}
	return out.String()
}

// isPlain tells whether s consists of printable ASCII alone.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// escape returns the Go escape of a character that is not printable.
func escape(r rune) string {
	q := strconv.QuoteRuneToASCII(r)
	return q[1 : len(q)-1]
}

func hexByte(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}
