// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !linux

package process

import "errors"

// Usage is what a process has used since its start, and its memory now.
type Usage struct {
	CPU           float64
	Reads, Writes uint64
	RSS           uint64
}

// Usage fails: only Linux tells.
func (s *Server) Usage() (Usage, error) {
	return Usage{}, errors.New("what a process uses is known on Linux only")
}
