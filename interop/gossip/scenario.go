// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

// scenario is a script and what is to come of it.
type scenario struct {
	name   string
	nodes  int
	script []step
	// wants are the nodes that each message has to reach, groups how many groups
	// of parts every node has to complete.
	wants  map[string][]int
	groups int
	// first is the number in the cast of who plays node 0; the next one plays
	// node 1, and so on.
	first int

	mu                        sync.Mutex
	errs                      []error
	expected, arrived, copies int
}

// line is what is looked at of a log line.
type line struct {
	Msg string `json:"msg"`
	ID  string `json:"id"`
}

// run runs the nodes until the script is over, and counts.
func (s *scenario) run(ctx context.Context, dir, at string, cast []peers.Peer) {
	file := filepath.Join(dir, s.name+".json")
	text, err := json.Marshal(map[string]any{"script": s.script})
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		s.errs = append(s.errs, err)
		return
	}
	for _, to := range s.wants {
		s.expected += len(to)
	}
	s.expected += s.groups * s.nodes
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for i := range s.nodes {
		p := cast[(s.first+i)%len(cast)]
		argv := p.Command("--params", file, "--node", strconv.Itoa(i), "--at", at)
		wg.Go(func() {
			var stdout, stderr bytes.Buffer
			cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			s.mu.Lock()
			defer s.mu.Unlock()
			if err != nil {
				s.errs = append(s.errs, fmt.Errorf("node %d, %s: %w: %s", i, p.Name, err, bytes.TrimSpace(stderr.Bytes())))
			}
			s.count(i, p.Name, stdout.Bytes())
		})
	}
	wg.Wait()
}

// count reads the log of a node.
func (s *scenario) count(node int, name string, log []byte) {
	got, complete, named := make(map[string]int), 0, false
	for text := range bytes.Lines(log) {
		var l line
		if json.Unmarshal(text, &l) != nil {
			continue
		}
		switch l.Msg {
		case "PeerID":
			named = l.ID != ""
		case "Received Message":
			got[l.ID]++
			s.copies++
		case "All parts received":
			complete++
		}
	}
	miss := func(format string, args ...any) {
		s.errs = append(s.errs, fmt.Errorf("node %d, %s: %s", node, name, fmt.Sprintf(format, args...)))
	}
	if !named {
		miss("has not said who it is")
	}
	for id, to := range s.wants {
		for _, n := range to {
			if n != node {
				continue
			}
			if got[id] == 0 {
				miss("message %s has not come", id)
			} else {
				s.arrived++
			}
		}
	}
	if complete < s.groups {
		miss("has completed %d of %d groups of parts", complete, s.groups)
	}
	s.arrived += min(complete, s.groups)
}

func (s *scenario) verdict() error {
	if s.arrived < s.expected && len(s.errs) == 0 {
		return fmt.Errorf("%d of %d", s.arrived, s.expected)
	}
	return errors.Join(s.errs...)
}

// composition is who plays.
func (s *scenario) composition(cast []peers.Peer) string {
	count := make([]int, len(cast))
	for i := range s.nodes {
		count[(s.first+i)%len(cast)]++
	}
	text := ""
	for i, p := range cast {
		text += fmt.Sprintf("%d %s ", count[i], p.Name)
	}
	return text
}
