// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
)

func TestExchangeInEveryMode(t *testing.T) {
	for mode := range modes() {
		t.Run(mode, func(t *testing.T) {
			stdin, closeStdin := io.Pipe()
			fromStdout, stdout := io.Pipe()
			exit := make(chan int, 1)
			var wg sync.WaitGroup
			wg.Go(func() { exit <- run([]string{"listen", "--mode", mode}, stdin, stdout, t.Output()) })
			line := bufio.NewScanner(fromStdout)
			if !line.Scan() {
				t.Fatal("no first line")
			}
			var first struct{ Addrs []string }
			if err := json.Unmarshal(line.Bytes(), &first); err != nil || len(first.Addrs) != 1 {
				t.Fatalf("first line %s: %v", line.Bytes(), err)
			}
			for _, sizes := range [][2]string{{"0", "0"}, {"1", "0"}, {"0", "1"}, {"300001", "200003"}} {
				for _, block := range []string{"1000", "65536", "200000"} {
					var out bytes.Buffer
					args := []string{"perf", "--upload", sizes[0], first.Addrs[0], "--download", sizes[1], "--mode", mode, "--block", block}
					if status := run(args, strings.NewReader(""), &out, t.Output()); status != 0 {
						t.Errorf("%v: exit status %d: %s", args, status, out.Bytes())
					}
				}
			}
			closeStdin.Close()
			if status := <-exit; status != 0 {
				t.Errorf("listen: exit status %d", status)
			}
			wg.Wait()
		})
	}
}

func TestExitStatusOfWhatCannotBeDone(t *testing.T) {
	for _, c := range []struct {
		args string
		want int
	}{
		{"", 2},
		{"fly", 2},
		{"perf", 2},
		{"perf --mode rot13 /ip4/127.0.0.1/tcp/1", 2},
		{"perf --block 0 /ip4/127.0.0.1/tcp/1", 2},
		{"perf 127.0.0.1:1", 2},
		{"perf /ip6/127.0.0.1/tcp/1", 2},
		{"perf /ip4/127.0.0.1/tcp/65536", 2},
		{"perf /ip4/127.0.0.1/udp/1", 2},
		{"perf --mode quic /ip4/127.0.0.1/tcp/1", 2},
		{"listen extra", 2},
		{"perf /ip4/127.0.0.1/tcp/1", 1},
		{"perf --mode tls /ip4/127.0.0.1/tcp/1", 1},
		{"perf --mode quic --timeout 10ms /ip4/127.0.0.1/udp/1", 1},
	} {
		var out bytes.Buffer
		status := run(strings.Fields(c.args), strings.NewReader(""), &out, io.Discard)
		if status != c.want || !strings.Contains(out.String(), `"ok":false`) {
			t.Errorf("%q: exit status %d, want %d, with %s", c.args, status, c.want, out.Bytes())
		}
	}
}
