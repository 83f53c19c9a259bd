// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"os"
	"strconv"
	"strings"

	"github.com/xnode-p2p/xnode/interop/internal/process"
)

// machine is the processor time that a machine and this run have used so far,
// in seconds.
type machine struct{ all, busy, own float64 }

func machineNow() (m machine) {
	const ticks = 100 // a second, in /proc
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return m
	}
	first, _, _ := strings.Cut(string(stat), "\n")
	for i, field := range strings.Fields(first) {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil || i > 8 { // the name of the line; guests, who are counted as users too
			continue
		}
		m.all += n / ticks
		if i != 4 && i != 5 { // idle, and waiting for disks
			m.busy += n / ticks
		}
	}
	m.own = (process.OwnCPU() + process.ChildrenCPU()).Seconds()
	return m
}

// others is the share of the time until then that went to other processes.
func (m machine) others(then machine) float64 {
	if then.all <= m.all {
		return 0
	}
	return max(0, (then.busy-m.busy-(then.own-m.own))/(then.all-m.all))
}
