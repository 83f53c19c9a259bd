// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"fmt"
	"io"
	"log/slog"
)

// secret is embedded in every private key. Its methods are what printing,
// logging and encoding find, so that none of them gets to the key itself. The
// keys are used through pointers only: package fmt prints a pointer in an
// unexported field of somebody's struct as an address.
type secret struct{ kind KeyType }

// Type implements [PrivateKey].
func (s secret) Type() KeyType { return s.kind }

// String returns what every form of printing shows.
func (s secret) String() string { return s.kind.String() + " private key ***" }

// Format implements [fmt.Formatter]: it stands before every verb and flag.
func (s secret) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, s.String()) }

// GoString implements [fmt.GoStringer].
func (s secret) GoString() string { return s.String() }

// LogValue implements [slog.LogValuer].
func (s secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler], for JSON and the like.
func (s secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
