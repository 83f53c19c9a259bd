// SPDX-License-Identifier: Apache-2.0 OR MIT

package ipns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// The part of DAG-CBOR that a record's document needs: a map with text for keys.
// Its values are decoded as far as they are integers and bytes; of the rest only
// the form is checked. https://ipld.io/specs/codecs/dag-cbor/spec/

// maxNesting bounds lists and maps within each other.
const maxNesting = 16

// errCBOR says that bytes are not DAG-CBOR.
var errCBOR = errors.New("not DAG-CBOR")

// The major types of CBOR.
const (
	cborUint = iota
	cborNegative
	cborBytes
	cborText
	cborList
	cborMap
	cborTag
	cborSimple
)

// What else stands in the first byte of an item.
const (
	cborFalse   = 20
	cborTrue    = 21
	cborNull    = 22
	cborFloat64 = 27

	// tagCID is the one tag of DAG-CBOR: a link.
	tagCID = 42
)

// item is one item of CBOR.
type item struct {
	major byte
	// arg is the number, the length, or what is simple.
	arg uint64
	// data is the content of bytes and text.
	data []byte
}

// readMap calls each with the keys and values of the map that b is, and of which
// no key may occur twice.
func readMap(b []byte, each func(key string, value item) error) error {
	m, b, err := readItem(b)
	if err != nil {
		return err
	}
	if m.major != cborMap {
		return fmt.Errorf("no map: %w", errCBOR)
	}
	seen := make(map[string]bool) // as many as fit into b
	for range m.arg {
		key, rest, err := readItem(b)
		if err != nil {
			return err
		}
		if key.major != cborText || seen[string(key.data)] {
			return fmt.Errorf("a key that is no text, or is there twice: %w", errCBOR)
		}
		seen[string(key.data)] = true
		value, rest, err := readItem(rest)
		if err != nil {
			return err
		}
		if b, err = skipContent(value, rest, maxNesting); err != nil {
			return err
		}
		if err := each(string(key.data), value); err != nil {
			return err
		}
	}
	if len(b) > 0 {
		return fmt.Errorf("%d bytes behind it: %w", len(b), errCBOR)
	}
	return nil
}

// readItem reads the item at the beginning of b, without what a list, a map or a
// tag contains, and returns what follows.
func readItem(b []byte) (item, []byte, error) {
	if len(b) == 0 {
		return item{}, nil, fmt.Errorf("cut off: %w", errCBOR)
	}
	i := item{major: b[0] >> 5}
	info := b[0] & 31
	b = b[1:]
	if i.major == cborSimple {
		return readSimple(info, b)
	}
	if info < 24 {
		i.arg = uint64(info)
	} else {
		size := 1 << (info - 24)
		if info > 27 || len(b) < size { // 31 is an indefinite length
			return item{}, nil, fmt.Errorf("length: %w", errCBOR)
		}
		var wide [8]byte
		copy(wide[8-size:], b[:size])
		i.arg = binary.BigEndian.Uint64(wide[:])
		if size == 1 && i.arg < 24 || size > 1 && i.arg>>(4*size) == 0 {
			return item{}, nil, fmt.Errorf("a number longer than need be: %w", errCBOR)
		}
		b = b[size:]
	}
	if i.major == cborBytes || i.major == cborText {
		if i.arg > uint64(len(b)) {
			return item{}, nil, fmt.Errorf("cut off: %w", errCBOR)
		}
		i.data, b = b[:i.arg], b[i.arg:]
		if i.major == cborText && !utf8.Valid(i.data) {
			return item{}, nil, fmt.Errorf("text that is not UTF-8: %w", errCBOR)
		}
	}
	return i, b, nil
}

func readSimple(info byte, b []byte) (item, []byte, error) {
	switch info {
	case cborFalse, cborTrue, cborNull:
		return item{major: cborSimple, arg: uint64(info)}, b, nil
	case cborFloat64:
		if len(b) >= 8 {
			return item{major: cborSimple, arg: uint64(info)}, b[8:], nil
		}
	}
	return item{}, nil, fmt.Errorf("simple value %d: %w", info, errCBOR)
}

// skipContent returns what follows the content of an item in b.
func skipContent(i item, b []byte, nesting int) ([]byte, error) {
	var n uint64
	switch i.major {
	case cborList:
		n = i.arg
	case cborMap:
		n = 2 * min(i.arg, 1<<62)
	case cborTag:
		if n = 1; i.arg != tagCID {
			return nil, fmt.Errorf("tag %d: %w", i.arg, errCBOR)
		}
	}
	if n > 0 && nesting == 0 {
		return nil, fmt.Errorf("more than %d levels: %w", maxNesting, errCBOR)
	}
	for k := range n {
		inner, rest, err := readItem(b)
		if err != nil {
			return nil, err
		}
		if i.major == cborMap && k%2 == 0 && inner.major != cborText {
			return nil, fmt.Errorf("a key that is no text: %w", errCBOR)
		}
		if b, err = skipContent(inner, rest, nesting-1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// appendHead appends the beginning of an item, in the shortest form.
func appendHead(b []byte, major byte, arg uint64) []byte {
	major <<= 5
	switch {
	case arg < 24:
		return append(b, major|byte(arg))
	case arg < 1<<8:
		return append(b, major|24, byte(arg))
	case arg < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(arg))
	case arg < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(arg))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), arg)
}

// appendString appends bytes or text.
func appendString[T []byte | string](b []byte, major byte, v T) []byte {
	return append(appendHead(b, major, uint64(len(v))), v...)
}
