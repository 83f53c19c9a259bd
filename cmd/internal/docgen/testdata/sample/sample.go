// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package sample is one for a test.
package sample

// Config has keys.
type Config struct {
	// Low and High bound it, in bytes. Default: 1 and 2.
	Low  int `json:"low,omitempty"`
	High int `json:"high,omitempty"`

	Bare int    `json:"bare"`
	Text string `json:"text"` // the greeting

	secret int
}

// State has none.
type State struct {
	// Open is no key.
	Open bool
}
