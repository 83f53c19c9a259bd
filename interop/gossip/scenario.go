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
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

// scenario is a script and what has come of it.
type scenario struct {
	name string
	file string // with the script
	outcome
	cast []peers.Peer // who plays node 0, node 1 and so on, in turn
	logs string       // folder for what the nodes say; empty: nowhere

	mu                        sync.Mutex
	errs                      []error
	expected, arrived, copies int
}

// newScenario reads a script.
func newScenario(name, file string) (*scenario, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := &scenario{name: name, file: file}
	if s.outcome, err = follow(text); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, to := range s.wants {
		s.expected += len(to)
	}
	for _, groups := range s.groups {
		s.expected += len(groups)
	}
	if s.expected == 0 {
		return nil, fmt.Errorf("%s: nothing arrives anywhere by it", file)
	}
	return s, nil
}

// line is what is looked at of a log line.
type line struct {
	Msg   string `json:"msg"`
	ID    string `json:"id"`
	Group uint64 `json:"group id"`
}

// spareTime is how long a node may take beyond the script.
const spareTime = time.Minute

// run runs the nodes until the script is over, and counts. Node 0 is at an
// address, the others at those behind it.
func (s *scenario) run(ctx context.Context, at string) {
	ctx, cancel := context.WithTimeout(ctx, s.lasts+spareTime)
	defer cancel()
	var wg sync.WaitGroup
	for i := range s.nodes {
		p := s.cast[i%len(s.cast)]
		argv := p.Command("--params", s.file, "--node", strconv.Itoa(i), "--at", at)
		wg.Go(func() {
			var stdout, stderr bytes.Buffer
			cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := errors.Join(cmd.Run(), s.keep(i, p.Name, stdout.Bytes()))
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

// keep writes down what a node said, where the suite's own scripts look for it.
func (s *scenario) keep(node int, name string, log []byte) error {
	if s.logs == "" {
		return nil
	}
	dir := filepath.Join(s.logs, s.name, "hosts", fmt.Sprintf("node%d", node))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".stdout"), log, 0o644)
}

// count reads the log of a node.
func (s *scenario) count(node int, name string, log []byte) {
	got, complete, named := make(map[string]int), make(map[uint64]bool), false
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
			complete[l.Group] = true
		}
	}
	miss := func(format string, args ...any) {
		s.errs = append(s.errs, fmt.Errorf("node %d, %s: %s", node, name, fmt.Sprintf(format, args...)))
	}
	if !named {
		miss("has not said who it is")
	}
	for id, to := range s.wants {
		switch {
		case !slices.Contains(to, node):
		case got[id] == 0:
			miss("message %s has not come", id)
		default:
			s.arrived++
		}
	}
	for _, id := range s.groups[node] {
		if !complete[id] {
			miss("has not all parts of group %d", id)
		} else {
			s.arrived++
		}
	}
}

func (s *scenario) verdict() error {
	if s.arrived < s.expected && len(s.errs) == 0 {
		return fmt.Errorf("%d of %d", s.arrived, s.expected)
	}
	return errors.Join(s.errs...)
}

// composition is who plays.
func (s *scenario) composition() string {
	count := make([]int, len(s.cast))
	for i := range s.nodes {
		count[i%len(s.cast)]++
	}
	var words []string
	for i, p := range s.cast {
		words = append(words, fmt.Sprintf("%d %s", count[i], p.Name))
	}
	return strings.Join(words, " ")
}
