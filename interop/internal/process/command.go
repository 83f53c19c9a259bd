// SPDX-License-Identifier: Apache-2.0 OR MIT

package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// killWait is how long the pipes of a killed process may stay open.
const killWait = 2 * time.Second

// Run executes one command of a peer and decodes the last line it prints into
// result. A command that says why it failed fails with that.
func Run(ctx context.Context, argv []string, result any) error {
	var stdout bytes.Buffer
	var stderr tail
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &stdout, &stderr, killWait
	err := cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("%w%s", context.Cause(ctx), stderr.after(": "))
	}
	lines := bytes.Split(bytes.TrimSpace(stdout.Bytes()), []byte("\n"))
	last := lines[len(lines)-1]
	if err != nil {
		return explain(err, last, &stderr)
	}
	if err := json.Unmarshal(last, result); err != nil {
		return fmt.Errorf("%.200q: %w%s", last, err, stderr.after(": "))
	}
	return nil
}

// explain returns why a process ended in err: what it said in its last line, or
// else on stderr.
func explain(err error, last []byte, stderr *tail) error {
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(last, &said) == nil && said.Error != "" {
		return errors.New(said.Error)
	}
	return fmt.Errorf("%w%s", err, stderr.after(": "))
}

// tailBytes is how much of the end of stderr is kept.
const tailBytes = 2048

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

// Write implements [io.Writer].
func (t *tail) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b...)
	if extra := len(t.kept) - tailBytes; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	return len(b), nil
}

// after returns what was kept, on one line behind a prefix; nothing if nothing
// was written.
func (t *tail) after(prefix string) string {
	text := strings.Join(strings.Fields(string(t.kept)), " ")
	if text == "" {
		return ""
	}
	return prefix + text
}
