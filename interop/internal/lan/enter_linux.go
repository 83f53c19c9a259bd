// SPDX-License-Identifier: Apache-2.0 OR MIT

package lan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// Enter runs this program again, with other arguments, where it can make
// networks, and returns its exit status. The error is [ErrUnavailable] if it
// cannot be done here.
func Enter(ctx context.Context, args ...string) (status int, err error) {
	return EnterTo(ctx, os.Stdout, args...)
}

// EnterTo is [Enter] with another place for what the program writes to stdout.
func EnterTo(ctx context.Context, stdout io.Writer, args ...string) (status int, err error) {
	for _, tool := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return 0, fmt.Errorf("%w: the command %s is missing", ErrUnavailable, tool)
		}
	}
	for _, user := range []bool{false, true} { // root needs no other user namespace, if it really is root
		if !may(ctx, user) {
			continue
		}
		cmd, err := again(ctx, args, user)
		if err != nil {
			return 0, err
		}
		cmd.Env = append(os.Environ(), insideVar+"=1")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, os.Stderr
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		if err = cmd.Run(); errors.As(err, new(*exec.ExitError)) {
			return cmd.ProcessState.ExitCode(), nil
		}
		return 0, err
	}
	return 0, fmt.Errorf("%w: neither as this user nor in a user namespace of its own", ErrUnavailable)
}

// may tells whether namespaces can be made, and bridges and cables in them.
func may(ctx context.Context, user bool) bool {
	script := "ip link add name probe type bridge && ip link add name probe0 type veth peer name probe1"
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.SysProcAttr = namespaces(user)
	return cmd.Run() == nil
}

func again(ctx context.Context, args []string, user bool) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.SysProcAttr = namespaces(user)
	return cmd, nil
}

// namespaces has a process run in a network namespace of its own, which ends with
// this process; with user, as root of a user namespace.
func namespaces(user bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if user {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	return attr
}
