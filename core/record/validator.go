// SPDX-License-Identifier: Apache-2.0 OR MIT

package record

// Validator checks the records of one namespace: what is stored under keys
// that begin with a slash, the namespace and a slash. Keys and values come from
// peers; a key may hold any bytes after the namespace.
type Validator interface {
	// Validate says why value may not stand under key, or returns nil.
	Validate(key string, value []byte) error
	// Select returns which of several values, each of them valid, is the best.
	// It is called with one at least.
	Select(key string, values [][]byte) (int, error)
}
