// SPDX-License-Identifier: Apache-2.0 OR MIT

// Command xpeer is this project's own interop and benchmark peer: the standard
// distribution behind the command line that all interop peers share.
//
//	xpeer listen --transport tcp --security noise
//	xpeer ping /ip4/127.0.0.1/tcp/4001/p2p/12D3…
//
// Every line on stdout is one JSON object; diagnostics go to stderr. The exit
// status is 0 when the thing asked was done, 1 when it was not, 2 when it was
// not understood. Started without arguments and with the environment of
// libp2p's public suites, it takes part in them (contract.go, contractdht.go), and
// with --params FILE in that of gossipsub (script.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// Exit statuses: the thing asked was done, was not done, or was not understood.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var status int
	if c, ok := contractOf(os.Getenv); ok && len(os.Args) == 1 {
		status = takePart(ctx, c, os.Stdout, os.Stderr)
	} else if c, ok := dhtContractOf(os.Getenv); ok && len(os.Args) == 1 {
		status = c.takePart(ctx, os.Stdout, os.Stderr)
	} else if len(os.Args) > 1 && os.Args[1] == "--params" {
		status = runScript(ctx, os.Args[1:], os.Stdout, os.Stderr)
	} else {
		status = run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	}
	stop()
	os.Exit(status)
}

// run executes one command line and returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	out := newLines(stdout)
	err := execute(ctx, args, stdin, out, stderr)
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(stderr, err)
	out.emit(failure{Error: err.Error()})
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

func execute(ctx context.Context, args []string, stdin io.Reader, out *lines, stderr io.Writer) error {
	all := commands()
	if len(args) == 0 {
		return usagef("no command; commands are %s", commandNames(all))
	}
	at := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] })
	if at < 0 {
		if slices.Contains(laterCommands(), args[0]) {
			return absent("command " + args[0])
		}
		return usagef("no command %q; commands are %s", args[0], commandNames(all))
	}
	cmd := all[at]

	in := &invocation{stdin: stdin, out: out, stderr: stderr}
	flags := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "usage: xpeer %s %s\n", cmd.name, cmd.usage)
		flags.PrintDefaults()
	}
	in.options.define(flags)
	body := cmd.define(flags)
	later := defineLater(flags)
	var err error
	if in.args, err = parseMixed(flags, args[1:]); err != nil {
		return &usageError{err}
	}
	if err := later(); err != nil {
		return err
	}
	if err := in.options.check(); err != nil {
		return err
	}

	stop, err := startProfiles(in.options.cpuProfile, in.options.memProfile)
	if err != nil {
		return err
	}
	runCtx := ctx
	if !cmd.serves {
		var cancel context.CancelFunc
		runCtx, cancel = in.withTimeout(ctx)
		defer cancel()
	}
	err = body(runCtx, in)
	if cause := context.Cause(runCtx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return errors.Join(err, stop())
}

// parseMixed parses flags and positional arguments in any order and returns
// the positional ones.
func parseMixed(flags *flag.FlagSet, args []string) ([]string, error) {
	var positional []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return positional, nil
		}
		positional = append(positional, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

// usageError is a command line that is not understood.
type usageError struct{ cause error }

// Error implements error.
func (e *usageError) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e *usageError) Unwrap() error { return e.cause }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// errAbsent is the reason for not doing what another build of this peer does.
var errAbsent = errors.New("not in this build")

func absent(what string) error { return fmt.Errorf("%s: %w", what, errAbsent) }
