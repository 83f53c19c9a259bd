// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"fmt"
	"io"
	"log/slog"
)

// secret is embedded in every private key and holds what must not be seen. Its
// methods are what printing, logging and encoding find. Where package fmt does
// not call them, in an unexported field of somebody's struct, and for tools that
// walk values by reflection, the key is behind a function, which shows an
// address and no more.
type secret[K any] struct {
	kind KeyType
	key  func() K
}

func newSecret[K any](kind KeyType, key K) secret[K] {
	return secret[K]{kind, func() K { return key }}
}

// Type implements [PrivateKey].
func (s secret[K]) Type() KeyType { return s.kind }

// String returns what every form of printing shows.
func (s secret[K]) String() string { return s.kind.String() + " private key ***" }

// Format implements [fmt.Formatter]: it stands before every verb and flag.
func (s secret[K]) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, s.String()) }

// GoString implements [fmt.GoStringer].
func (s secret[K]) GoString() string { return s.String() }

// LogValue implements [slog.LogValuer].
func (s secret[K]) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler], for JSON and the like.
func (s secret[K]) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
