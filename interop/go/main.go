// SPDX-License-Identifier: Apache-2.0 OR MIT

// Command go is the interop and benchmark peer on go-libp2p. It takes the command line that every
// interop peer takes, so that one runner can drive any pair; README.md lists the commands.
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

// Exit statuses: the thing asked was done, was not done, or was asked in a way that cannot be understood.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var status int
	if len(os.Args) > 1 && os.Args[1] == "--params" {
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
		return usagef("no command %q; commands are %s", args[0], commandNames(all))
	}
	cmd := all[at]

	in := &invocation{stdin: stdin, out: out, stderr: stderr}
	flags := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "usage: %s %s\n", cmd.name, cmd.usage)
		flags.PrintDefaults()
	}
	in.options.define(flags)
	body := cmd.define(flags)
	var err error
	if in.args, err = parseMixed(flags, args[1:]); err != nil {
		return &usageError{err}
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
	if err != nil && runCtx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(runCtx), err)
	}
	return errors.Join(err, stop())
}

// parseMixed parses flags and positional arguments in any order and returns the positional ones.
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

// usageError is a command line that cannot be understood, or asks for what this peer does not speak.
type usageError struct{ cause error }

func (e *usageError) Error() string { return e.cause.Error() }
func (e *usageError) Unwrap() error { return e.cause }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}
