// SPDX-License-Identifier: Apache-2.0 OR MIT

package netmon

import (
	"os"

	"golang.org/x/sys/unix"
)

// netlink is a socket on which Linux tells of changes.
type netlink struct{ file *os.File }

// listen subscribes to changes of interfaces and addresses.
func listen() (source, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	groups := uint32(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &netlink{os.NewFile(uintptr(fd), "netlink")}, nil
}

// read implements source. What is said is not looked at: the addresses are.
func (n *netlink) read(hints chan<- struct{}) {
	buf := make([]byte, 4096)
	for {
		_, err := n.file.Read(buf)
		switch {
		case err == nil, isOverrun(err): // there was more to say than there was room
			hint(hints)
		default:
			return
		}
	}
}

func isOverrun(err error) bool {
	pe, ok := err.(*os.PathError)
	return ok && pe.Err == unix.ENOBUFS
}

func (n *netlink) close() { n.file.Close() }
