// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !linux

package lan

// Wire is a cable that delays and loses frames. Here it cannot be made.
type Wire struct{}

// NewWire returns a wire that cannot be plugged in.
func NewWire(Shape) *Wire { return new(Wire) }

// Set does nothing.
func (*Wire) Set(Shape) {}

// Close does nothing.
func (*Wire) Close() error { return nil }

func (*Wire) make([2]string) error { return ErrUnavailable }

func (*Wire) carry() {}
