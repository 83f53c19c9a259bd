// SPDX-License-Identifier: Apache-2.0 OR MIT

package lan

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// maxInFlight is how many frames may be on a wire in each direction; what comes
// beyond is dropped, as by a router whose queue is full.
const maxInFlight = 4096

// Wire is a cable that delays and loses frames. The kernel's own emulation is not
// in every kernel; this one carries frames between two TAP devices.
type Wire struct {
	shape   atomic.Pointer[Shape]
	ends    [2]*os.File
	running sync.WaitGroup
}

// NewWire returns a wire that is not plugged in yet.
func NewWire(s Shape) *Wire {
	w := new(Wire)
	w.Set(s)
	return w
}

// Set changes what the wire does to frames from now on.
func (w *Wire) Set(s Shape) { w.shape.Store(&s) }

// Close unplugs the wire: the devices at its ends are gone.
func (w *Wire) Close() error {
	for _, f := range w.ends {
		if f != nil {
			_ = f.Close() // it takes no data that could be lost
		}
	}
	w.running.Wait()
	return nil
}

// make creates the devices at both ends.
func (w *Wire) make(names [2]string) (err error) {
	for i, name := range names {
		if w.ends[i], err = openTAP(name); err != nil {
			return fmt.Errorf("wire: TAP device %s: %w", name, err)
		}
	}
	return nil
}

// carry has the wire work. Both devices are up.
func (w *Wire) carry() {
	w.running.Go(func() { w.oneWay(w.ends[0], w.ends[1]) })
	w.running.Go(func() { w.oneWay(w.ends[1], w.ends[0]) })
}

// inFlight is a frame on its way.
type inFlight struct {
	due   time.Time
	frame []byte
}

// oneWay carries frames from one end to the other, in the order in which they
// came, until the wire is closed.
func (w *Wire) oneWay(from, to *os.File) {
	queue := make(chan inFlight, maxInFlight)
	defer close(queue)
	w.running.Go(func() {
		for f := range queue {
			time.Sleep(time.Until(f.due))
			_, _ = to.Write(f.frame) // what the other end cannot take is lost
		}
	})
	var last time.Time
	for b := make([]byte, 1<<16); ; {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		s := w.shape.Load()
		if rand.Float64() < s.Loss {
			continue
		}
		due := time.Now().Add(s.Delay + time.Duration(rand.Float64()*float64(s.Jitter)))
		if due.Before(last) {
			due = last
		}
		last = due
		select {
		case queue <- inFlight{due, append([]byte(nil), b[:n]...)}:
		default:
		}
	}
}

// openTAP creates a device whose frames are read from and written to the file.
// It may be moved to another namespace.
func openTAP(name string) (*os.File, error) {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}
