// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/xnode-p2p/xnode/cmd/internal/admin"
	"github.com/xnode-p2p/xnode/cmd/internal/node"
	"github.com/xnode-p2p/xnode/core/host"
)

// runFlags are the flags of run and start.
type runFlags struct {
	config   string
	resume   bool
	watch    bool
	envFiles []string
	pidFile  string
	pingback bool
}

func (f *runFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "configuration file, or - for standard input (default: the built-in configuration)")
	cmd.Flags().BoolVarP(&f.resume, "resume", "r", false, "run the last good configuration instead, if there is one")
	cmd.Flags().BoolVarP(&f.watch, "watch", "w", false, "reload when the configuration file changes")
	cmd.Flags().StringArrayVar(&f.envFiles, "envfile", nil, "file of environment variables, NAME=VALUE in each line; may be repeated")
	cmd.Flags().StringVar(&f.pidFile, "pidfile", "", "file to write the process ID to")
}

func (c *cli) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Runs a node until it is told to stop",
		Long: `run starts a node and prints its peer ID and the addresses at which it can be
dialled, one in each line. Logs go to standard error.

SIGINT and SIGTERM stop it, a second one and SIGQUIT at once. SIGUSR1 loads the
configuration file again, SIGHUP is ignored.

The exit code is 0 if it was told to stop, 1 if it did not start: do not restart
it then before the configuration is mended. It is 2 if it was made to quit at
once, 3 if it could not quit cleanly.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context(), f) },
	}
	f.add(cmd)
	cmd.Flags().StringVar(&c.admin, "admin", "", "admin endpoint, if the configuration does not name one (default $XNODE_ADMIN, or admin.sock in the data folder)")
	cmd.Flags().BoolVar(&f.pingback, "pingback", false, "tell on standard output how the start ended, as JSON")
	cobra.CheckErr(cmd.Flags().MarkHidden("pingback"))
	return cmd
}

// started is what a node in the background tells the command that started it.
type started struct {
	Peer     string          `json:"peer,omitempty"`
	Addrs    []string        `json:"addrs,omitempty"`
	Error    string          `json:"error,omitempty"`
	File     string          `json:"file,omitempty"`
	Mistakes []*host.Mistake `json:"mistakes,omitempty"`
}

// run starts a node; it returns only if that fails.
func (c *cli) run(ctx context.Context, f runFlags) error {
	from, err := c.startNode(ctx, f)
	var s started
	if h, ok := host.Running(); ok {
		self := node.Self(h)
		s.Peer, s.Addrs = self.Peer, self.Addrs
	} else if err == nil {
		caddy.Log().Warn(`this configuration runs no node; add "xnode": {} to apps`)
	}
	if f.pingback {
		err = c.pingBack(s, err)
	} else if err == nil {
		c.printStarted(s)
	}
	if err != nil {
		return err
	}
	if f.watch && from.file != "" {
		watch(ctx, from.file, from.read, watchInterval)
	}
	select {} // Caddy's handlers of signals and of the admin endpoint end the process
}

// prepare sets the environment and reads the configuration. It fails if that
// cannot be loaded, or if a node runs at its admin endpoint; address is that of
// the endpoint for documents that name none.
func (c *cli) prepare(ctx context.Context, f runFlags) (from source, address string, err error) {
	for _, path := range f.envFiles {
		if err := loadEnvFile(path); err != nil {
			return source{}, "", err
		}
	}
	if from, err = c.choose(f); err != nil {
		return source{}, "", err
	}
	if f.watch && from.file == "" {
		return source{}, "", errors.New("there is no file to --watch: name one with -c FILE")
	}
	if err := host.CheckDocument(from.text); err != nil {
		return source{}, "", mistaken(from.name, err)
	}
	address, err = c.endpoint(ctx, from.text)
	return from, address, err
}

// startNode loads the configuration.
func (c *cli) startNode(ctx context.Context, f runFlags) (source, error) {
	from, address, err := c.prepare(ctx, f)
	if err != nil {
		return source{}, err
	}
	dir, err := dataDir()
	if err != nil {
		return source{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return source{}, err
	}
	admin.Prepare(dir, address)
	trapSignals()
	if err := admin.Load(from.text, from.file, true); err != nil {
		return source{}, mistaken(from.name, err)
	}
	if from.file != "" {
		caddy.SetLastConfig(from.file, "", func(string, string) error { return admin.Reload(false) })
	}
	if f.pidFile != "" {
		if err := caddy.PIDFile(f.pidFile); err != nil {
			caddy.Log().Error("no pidfile", zap.Error(err))
		}
	}
	return from, nil
}

// choose reads the document that the flags name.
func (c *cli) choose(f runFlags) (source, error) {
	if f.resume {
		dir, err := dataDir()
		if err != nil {
			return source{}, err
		}
		saved := admin.SavedPath(dir)
		text, err := admin.ReadDocument(saved)
		if err == nil {
			return source{name: saved, text: text}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return source{}, err
		}
	}
	return c.read(f.config)
}

// probeTime bounds the look for another node at the admin address.
const probeTime = 2 * time.Second

// endpoint returns the address of the admin endpoint for documents that name
// none. It fails if the endpoint of this document is another node's already:
// to bind it would take it away from that.
func (c *cli) endpoint(ctx context.Context, text []byte) (string, error) {
	address, err := c.adminAddress()
	section := adminOf(text).Admin
	if err != nil {
		if section.Disabled || section.Listen != "" {
			return "", nil
		}
		return "", err
	}
	if err := host.CheckAdmin(address); err != nil {
		return "", fmt.Errorf("admin endpoint: %w", err)
	}
	if section.Disabled {
		return address, nil
	}
	actual := address
	if section.Listen != "" {
		actual = caddy.NewReplacer().ReplaceAll(section.Listen, "")
	}
	other, err := newClient(actual)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	if other.answers(ctx) {
		return "", fmt.Errorf("a node is running at %s already; stop it with 'xnode stop', or set XNODE_DATA to another folder for a second one", place(actual))
	}
	return address, nil
}

// printStarted prints the peer ID and the addresses.
func (c *cli) printStarted(s started) {
	if s.Peer != "" {
		fmt.Fprintln(c.out, s.Peer)
	}
	for _, a := range s.Addrs {
		fmt.Fprintln(c.out, a)
	}
}

// pingBack tells the command that waits how the start ended.
func (c *cli) pingBack(s started, err error) error {
	if err != nil {
		s.Error = err.Error()
	}
	if several, ok := err.(mistakes); ok {
		s.File, s.Mistakes = several.file, several.list
	}
	told := json.NewEncoder(c.out).Encode(s)
	if closer, ok := c.out.(io.Closer); ok && told == nil {
		told = closer.Close()
	}
	return errors.Join(err, told)
}
