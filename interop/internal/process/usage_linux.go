// SPDX-License-Identifier: Apache-2.0 OR MIT

package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ticks is how many clock ticks a second has in /proc, on every Linux that Go
// runs on.
const ticks = 100

// Usage is what a process has used since its start, and its memory now.
type Usage struct {
	// CPU is user and system time, in seconds. It comes in steps of 10 ms.
	CPU float64
	// Reads and Writes are system calls.
	Reads, Writes uint64
	// RSS is the memory in use, in bytes.
	RSS uint64
}

// Usage reads what the peer has used.
func (s *Server) Usage() (Usage, error) {
	u, err := usage(s.PID())
	if err != nil {
		return u, fmt.Errorf("usage of process %d: %w", s.PID(), err)
	}
	return u, nil
}

func usage(pid int) (Usage, error) {
	var u Usage
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	// The command's name, in parentheses, may hold anything. Behind it, user
	// time is field 14 of the line and system time 15; the state is field 3.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return u, fmt.Errorf("malformed stat %q", stat)
	}
	user, err := strconv.ParseUint(fields[11], 10, 64)
	if err != nil {
		return u, err
	}
	system, err := strconv.ParseUint(fields[12], 10, 64)
	if err != nil {
		return u, err
	}
	u.CPU = float64(user+system) / ticks
	if u.Reads, err = field(pid, "io", "syscr"); err != nil {
		return u, err
	}
	if u.Writes, err = field(pid, "io", "syscw"); err != nil {
		return u, err
	}
	kib, err := field(pid, "status", "VmRSS")
	u.RSS = kib << 10
	return u, err
}

// field returns the number behind a name in a file of /proc/PID.
func field(pid int, file, name string) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.ParseUint(strings.Fields(value)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s: no %s", file, name)
}
