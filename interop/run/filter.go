// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// filter chooses rows: for every key that it has, one of the values must fit.
// It is a flag.
type filter map[string][]string

// filterKeys are what rows can be chosen by.
func filterKeys() []string {
	return []string{"suite", "server", "client", "transport", "security", "muxer", "relay"}
}

func (r *row) value(key string) string {
	if key == "relay" {
		if r.relay == nil {
			return ""
		}
		return r.relay.Name
	}
	return map[string]string{
		"suite": r.Suite, "server": r.Server, "client": r.Client,
		"transport": r.Stack.Transport, "security": r.Stack.Security, "muxer": r.Stack.Muxer,
	}[key]
}

// String implements [flag.Value].
func (f filter) String() string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(f)) {
		for _, value := range f[key] {
			words = append(words, key+"="+value)
		}
	}
	return strings.Join(words, ",")
}

// Set implements [flag.Value].
func (f *filter) Set(text string) error {
	if *f == nil {
		*f = filter{}
	}
	for word := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(word, "=")
		if !ok || !slices.Contains(filterKeys(), key) {
			return fmt.Errorf("%q: want one of %s, = and a value", word, strings.Join(filterKeys(), ", "))
		}
		(*f)[key] = append((*f)[key], value)
	}
	return nil
}

// choose returns the rows that fit.
func (f filter) choose(rows []*row) []*row {
	return slices.DeleteFunc(slices.Clone(rows), func(r *row) bool {
		for key, values := range f {
			if !slices.Contains(values, r.value(key)) {
				return true
			}
		}
		return false
	})
}
