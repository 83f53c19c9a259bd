// SPDX-License-Identifier: Apache-2.0 OR MIT

package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

const (
	// startTime is how long a peer may take to its first line.
	startTime = 60 * time.Second
	// stopTime is how long a peer may take to end once its stdin has closed.
	stopTime = 10 * time.Second
	// maxLine bounds a line that a peer prints, in bytes.
	maxLine = 1 << 20
)

// Server is a peer that runs until its stdin closes.
type Server struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr tail
	lines  chan []byte // that are no events; closed with stdout
	wg     sync.WaitGroup
	close  func() error
}

// Start runs a command that serves, and decodes its first line into first.
func Start(ctx context.Context, argv []string, first any) (*Server, error) {
	s := &Server{cmd: exec.Command(argv[0], argv[1:]...), lines: make(chan []byte)}
	s.cmd.Stderr, s.cmd.WaitDelay = &s.stderr, killWait
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.stdin, s.close = stdin, sync.OnceValue(s.stop)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.wg.Go(func() { s.read(stdout) })
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, fmt.Errorf("not ready within %v", startTime))
	defer cancel()
	if err := s.next(ctx, first); err != nil {
		return nil, errors.Join(fmt.Errorf("start: %w", err), s.Close())
	}
	return s, nil
}

// PID is the process's.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Ask writes a line to the peer's stdin and decodes its answer.
func (s *Server) Ask(ctx context.Context, line string, answer any) error {
	if _, err := io.WriteString(s.stdin, line+"\n"); err != nil {
		return err
	}
	return s.next(ctx, answer)
}

// next decodes the next line that is no event.
func (s *Server) next(ctx context.Context, v any) error {
	select {
	case line, ok := <-s.lines:
		if !ok {
			return fmt.Errorf("the peer ended%s", s.ended())
		}
		if err := json.Unmarshal(line, v); err != nil {
			return fmt.Errorf("%.200q: %w", line, err)
		}
		var said struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(line, &said) == nil && said.Error != "" {
			return errors.New(said.Error)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ended waits for a peer that has closed its stdout, and says what it left on stderr.
func (s *Server) ended() string {
	_ = s.Close() // what it says is about the end we see anyway
	return s.stderr.after(": ")
}

// read passes lines on and drops events, so that the peer never waits for a reader.
func (s *Server) read(stdout io.Reader) {
	defer close(s.lines)
	scan := bufio.NewScanner(stdout)
	scan.Buffer(nil, maxLine)
	for scan.Scan() {
		var event struct{ Event string }
		if json.Unmarshal(scan.Bytes(), &event) == nil && event.Event != "" {
			continue
		}
		s.lines <- append([]byte(nil), scan.Bytes()...)
	}
	_, _ = io.Copy(io.Discard, stdout) // after a line that is too long
}

// Close closes the peer's stdin and waits for its end; a peer that does not end
// is killed, which is an error.
func (s *Server) Close() error { return s.close() }

func (s *Server) stop() error {
	_ = s.stdin.Close() // a peer that is gone already has closed it
	late := time.AfterFunc(stopTime, func() { _ = s.cmd.Process.Kill() })
	for range s.lines { // what nobody asked for
	}
	s.wg.Wait()
	err := s.cmd.Wait()
	if !late.Stop() {
		return fmt.Errorf("did not end within %v of the end of its stdin%s", stopTime, s.stderr.after(": "))
	}
	if err != nil {
		return fmt.Errorf("%w%s", err, s.stderr.after(": "))
	}
	return nil
}
