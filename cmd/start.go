// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"
)

func (c *cli) startCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Runs a node in the background",
		Long: `start runs a node in the background, waits until it runs or has failed, and
prints what 'xnode run' prints. Its logs go to the file xnode.log in the data
folder, unless the configuration says otherwise; the log of the run before is
kept as xnode.log.1.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.start(cmd.Context(), f) },
	}
	f.add(cmd)
	cmd.Flags().StringVar(&c.admin, "admin", "", "admin endpoint, if the configuration does not name one (default $XNODE_ADMIN, or admin.sock in the data folder)")
	return cmd
}

// arguments are those of run for the same flags.
func (f *runFlags) arguments(adminAddress string) []string {
	args := []string{"run", "--pingback"}
	for flag, value := range map[string]string{"--config": f.config, "--pidfile": f.pidFile, "--admin": adminAddress} {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	for _, path := range f.envFiles {
		args = append(args, "--envfile", path)
	}
	if f.resume {
		args = append(args, "--resume")
	}
	if f.watch {
		args = append(args, "--watch")
	}
	return args
}

// start runs this program again, in the background, and waits for what it tells.
// What can be seen to be wrong before is told before: a start that is refused
// leaves the log of the node that runs alone.
func (c *cli) start(ctx context.Context, f runFlags) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	from, _, err := c.prepare(ctx, f)
	if err != nil {
		return err
	}
	log, err := openLog()
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the node has it too
	cmd := exec.Command(self, f.arguments(c.admin)...)
	cmd.Stderr = log
	cmd.SysProcAttr = detached()
	if from.name == standardInput {
		cmd.Stdin = bytes.NewReader(from.text)
	}
	told, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer c.progress("waiting for the node to start")()
	var s started
	if err := json.NewDecoder(told).Decode(&s); err != nil {
		return fmt.Errorf("the node ended before it ran (%w); see %s", errors.Join(err, cmd.Wait()), log.Name())
	}
	if s.Error == "" {
		c.printStarted(s)
		return cmd.Process.Release()
	}
	_ = cmd.Wait() // its exit code says less than its error
	if len(s.Mistakes) > 0 {
		return mistakes{s.File, s.Mistakes}
	}
	return errors.New(s.Error)
}

// openLog opens the log file of nodes in the background.
func openLog() (*os.File, error) {
	dir, err := dataDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "xnode.log")
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}
