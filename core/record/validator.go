// SPDX-License-Identifier: Apache-2.0 OR MIT

package record

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/xnode-p2p/xnode/core/wire"
)

var (
	// ErrNamespace says that a key has no namespace, or one that nobody here
	// can check the records of.
	ErrNamespace = errors.New("unknown namespace of records")

	// ErrWrongKey says that a record is of another key than it was asked for.
	ErrWrongKey = errors.New("record of another key")

	// ErrExpired says that a record is past its end.
	ErrExpired = errors.New("expired record")

	// ErrWorse says that a record is not as good as the one that is known.
	ErrWorse = errors.New("a better record is known")
)

// Validator checks the records of one namespace: what is stored under keys
// that begin with a slash, the namespace and a slash. Keys and values come from
// peers; a key may hold any bytes after the namespace.
type Validator interface {
	// Validate says why value may not stand under key, or returns nil.
	Validate(key string, value []byte) error
	// Select returns which of several values, each of them valid, is the best:
	// the first of those that are equally good. It is called with one at least.
	Select(key string, values [][]byte) (int, error)
}

// Limited is what a [Validator] is too if its records say how long they last.
type Limited interface {
	// Lifetime returns how long a valid value need not be looked up again, and
	// when it ends.
	Lifetime(value []byte) (fresh time.Duration, end time.Time, err error)
}

// Validators are the validators of a value store by namespace. They are one
// [Validator] together: that of all their namespaces, and of no other.
type Validators map[string]Validator

// Namespace returns the namespace of a key, which is what stands between its
// first two slashes. Neither that nor what follows is empty; anything else is
// [ErrNamespace], as a namespace is that is not text.
func Namespace(key string) (string, error) {
	rest, ok := strings.CutPrefix(key, "/")
	namespace, name, two := strings.Cut(rest, "/")
	if !ok || !two || namespace == "" || name == "" || wire.Text(namespace, MaxKey) != namespace {
		return "", fmt.Errorf("key %s: %w", shown(key), ErrNamespace)
	}
	return namespace, nil
}

// of returns the validator for a key, and checks the key's size.
func (v Validators) of(key string) (Validator, error) {
	if err := checkSize("key", len(key), MaxKey); err != nil {
		return nil, err
	}
	namespace, err := Namespace(key)
	if err != nil {
		return nil, err
	}
	validator := v[namespace]
	if validator == nil {
		return nil, fmt.Errorf("key %s: %w; those known are %v", shown(key), ErrNamespace, slices.Sorted(maps.Keys(v)))
	}
	return validator, nil
}

// Validate implements [Validator]. A key without a namespace or with one that
// is not among them is [ErrNamespace], a key of more than [MaxKey] or a value
// of more than [MaxValue] bytes [wire.ErrTooLarge].
func (v Validators) Validate(key string, value []byte) error {
	validator, err := v.of(key)
	if err != nil {
		return err
	}
	if err := checkSize("value of "+shown(key), len(value), MaxValue); err != nil {
		return err
	}
	if err := validator.Validate(key, value); err != nil {
		return fmt.Errorf("value of %s: %w", shown(key), err)
	}
	return nil
}

// Select implements [Validator].
func (v Validators) Select(key string, values [][]byte) (int, error) {
	validator, err := v.of(key)
	if err != nil {
		return 0, err
	}
	if len(values) == 0 {
		return 0, fmt.Errorf("values of %s: none to select from: %w", shown(key), ErrInvalid)
	}
	i, err := validator.Select(key, values)
	if err == nil && (i < 0 || i >= len(values)) {
		err = fmt.Errorf("number %d of %d was selected", i, len(values))
	}
	if err != nil {
		return 0, fmt.Errorf("values of %s: %w", shown(key), err)
	}
	return i, nil
}

// Lifetime returns how long a valid value under key need not be looked up again,
// and when it ends; both are zero if it does not say.
func (v Validators) Lifetime(key string, value []byte) (fresh time.Duration, end time.Time, err error) {
	validator, err := v.of(key)
	if err != nil {
		return 0, time.Time{}, err
	}
	if limited, ok := validator.(Limited); ok {
		return limited.Lifetime(value)
	}
	return 0, time.Time{}, nil
}

// Check is what stands between a record that a peer sent, or a disk kept, and
// whoever asked for key: the record must be of that key ([ErrWrongKey]) and
// valid. The time that it was received at is taken off: that is for the
// receiver to say.
func (v Validators) Check(key string, r *ValueRecord) error {
	r.TimeReceived = time.Time{}
	if r.Key != key {
		return fmt.Errorf("want %s, got %s: %w", shown(key), shown(r.Key), ErrWrongKey)
	}
	return v.Validate(key, r.Value)
}

// Replaces returns nil if a value that was found valid may take the place of
// another, which it may if it is better or as good. Otherwise the error is
// [ErrWorse]. Old is nil where nothing is to be replaced; an old value that is no
// longer valid, because it has expired, is not in the way either.
func (v Validators) Replaces(key string, value, old []byte) error {
	if old == nil || v.Validate(key, old) != nil {
		return nil
	}
	best, err := v.Select(key, [][]byte{value, old})
	if err == nil && best != 0 {
		err = fmt.Errorf("value of %s: %w", shown(key), ErrWorse)
	}
	return err
}

// shown makes a key fit for an error: much of it may be bytes of a hash.
func shown(key string) string { return `"` + wire.Text(key, 128) + `"` }

// Any is the [Validator] of a namespace whose records prove nothing: every value
// is valid, and the newest the best, which is the first that Select is given. It
// is for private networks, whose members trust each other.
type Any struct{}

// Validate implements [Validator].
func (Any) Validate(string, []byte) error { return nil }

// Select implements [Validator].
func (Any) Select(string, [][]byte) (int, error) { return 0, nil }

var (
	_ Validator = (Validators)(nil)
	_ Validator = Any{}
)
