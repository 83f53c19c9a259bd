// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sockets lists what a process listens on: "tcp PORT", "udp PORT", "unix PATH".
func sockets(t *testing.T, pid int) []string {
	t.Helper()
	own := map[string]bool{} // inodes
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, "socket:[") {
			own[strings.Trim(strings.TrimPrefix(target, "socket:"), "[]")] = true
		}
	}
	var list []string
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6", "unix"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(text), "\n")[1:] {
			f := strings.Fields(line)
			if table == "unix" {
				// Num RefCount Protocol Flags Type St Inode Path; flag 0x10000 is "listens".
				if len(f) > 7 && own[f[6]] && f[3] == "00010000" {
					list = append(list, "unix "+f[7])
				}
				continue
			}
			// sl local remote st … inode; state 0A listens, 07 is a UDP socket.
			if len(f) > 9 && own[f[9]] && (f[3] == "0A" || f[3] == "07") {
				_, hex, _ := strings.Cut(f[1], ":")
				port, err := strconv.ParseUint(hex, 16, 16)
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, fmt.Sprintf("%s %d", strings.TrimSuffix(table, "6"), port))
			}
		}
	}
	slices.Sort(list)
	return list
}

// A node with the built-in configuration listens on one TCP port, one UDP port
// and on the admin socket, which is for its user alone, and on nothing else.
func TestEvil_X9_DefaultSockets(t *testing.T) {
	n := newNode(t)
	p := n.run()
	addrs := n.must("addrs", "listen")
	port := func(protocol string) string {
		_, rest, _ := strings.Cut(addrs, "/"+protocol+"/")
		digits := strings.IndexFunc(rest+"/", func(r rune) bool { return r < '0' || r > '9' })
		return protocol + " " + rest[:digits]
	}
	socket := filepath.Join(n.data(), "admin.sock")
	want := []string{port("tcp"), port("udp"), "unix " + socket}
	if got := sockets(t, p.cmd.Process.Pid); !slices.Equal(got, want) {
		t.Errorf("listens on %q, want %q", got, want)
	}
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	folder, err := os.Stat(n.data())
	if err != nil || folder.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", folder, err)
	}
}
