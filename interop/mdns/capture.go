// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// capture is tshark, which keeps the packets of multicast DNS of a network.
type capture struct {
	cmd  *exec.Cmd
	dir  string
	done bool
}

// startCapture returns nil if tshark is not installed.
func startCapture(ctx context.Context, link string) (*capture, error) {
	if _, err := exec.LookPath("tshark"); err != nil {
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "mdns")
	if err != nil {
		return nil, err
	}
	c := &capture{dir: dir}
	c.cmd = exec.CommandContext(ctx, "tshark", "-q", "-i", link, "-f", "udp port 5353", "-w", c.file())
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	var said strings.Builder
	for scan := bufio.NewScanner(stderr); scan.Scan(); { // it says when it has begun
		fmt.Fprintln(&said, scan.Text())
		if strings.HasPrefix(scan.Text(), "Capturing on") || strings.Contains(scan.Text(), "Capture started") {
			go io.Copy(io.Discard, stderr)
			return c, nil
		}
	}
	return nil, fmt.Errorf("tshark: %w: %s", errors.Join(c.cmd.Wait(), os.RemoveAll(dir)), said.String())
}

func (c *capture) file() string { return filepath.Join(c.dir, "mdns.pcapng") }

// end has it write all that it has seen.
func (c *capture) end() {
	if !c.done {
		c.done = true
		_ = c.cmd.Process.Signal(syscall.SIGINT)
		_ = c.cmd.Wait()
	}
}

// stop forgets everything.
func (c *capture) stop() {
	if c != nil {
		c.end()
		_ = os.RemoveAll(c.dir)
	}
}

// check wants packets from some addresses, and nothing wrong with any of them.
func (c *capture) check(ctx context.Context, from []string) error {
	time.Sleep(time.Second) // for what is on its way
	c.end()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "tshark", "-r", c.file(), "-T", "fields", "-E", "separator=|",
		"-e", "ip.src", "-e", "ipv6.src", "-e", "dns.flags.response", "-e", "_ws.malformed", "-e", "_ws.expert.message", "-e", "ip.ttl", "-e", "ipv6.hlim")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("tshark: %w: %s", err, stderr.String())
	}
	questions, answers := 0, 0
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		if len(f) != 7 || !slices.Contains(from, f[0]+f[1]) {
			continue
		}
		if isTrue(f[2]) {
			answers++
		} else {
			questions++
		}
		if f[3] != "" || f[5]+f[6] != "255" || slices.ContainsFunc(strings.Split(f[4], ","), isFault) {
			return fmt.Errorf("from %s: %s %s, TTL %s", f[0]+f[1], f[3], f[4], f[5]+f[6])
		}
	}
	if questions == 0 || answers == 0 {
		return fmt.Errorf("%d questions and %d answers from %v in the capture", questions, answers, from)
	}
	return nil
}

// isFault tells whether a remark is about the packet: in multicast DNS each one has
// the ID zero, and what is said more than once is no repetition.
func isFault(remark string) bool {
	return remark != "" && !strings.HasPrefix(remark, "DNS query retransmission") && !strings.HasPrefix(remark, "DNS response retransmission")
}

func isTrue(s string) bool { return s == "1" || strings.EqualFold(s, "true") }
