// SPDX-License-Identifier: Apache-2.0 OR MIT

// Command limit measures what the machine allows: the exchange of /perf/1.0.0 (size of the answer,
// upload, end, answer) with nothing else in between. Its modes are plain TCP (tcp), TCP with
// ChaCha20-Poly1305 records of the size that Noise has (aead), TLS 1.3 over TCP as crypto/tls has it
// (tls), and a stream of quic-go (quic). It is the yardstick of the benchmarks, not a protocol: the
// keys of aead travel in the clear, and nobody is authenticated.
//
//	limit listen [--mode M] [--ip A] [--port N] [--block B]
//	limit perf ADDR [--mode M] [--upload B] [--download B] [--block B] [--timeout D]
//
// Every line on stdout is one JSON object; listen prints its address, then serves until stdin
// closes; perf prints what the perf command of the interop peers prints. Exit status 0 when it was
// done, 1 when it was not, 2 for a usage error. Both take --cpuprofile and --memprofile.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

// settings are the flags; both commands take all of them.
type settings struct {
	modeName         string
	mode             mode // of that name
	ip               string
	port             uint
	upload, download uint64
	block            int
	timeout          time.Duration
	cpu, mem         string
}

var (
	errUsage = errors.New("usage: limit listen|perf ADDR [flags]")
	errMode  = errors.New("want tcp, aead, tls or quic")
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := execute(args, stdin, stdout, stderr)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, err)
	emit(stdout, map[string]any{"ok": false, "error": err.Error()})
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

func execute(args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	var s settings
	rest, err := s.parse(args[1:], stderr)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	var work func() error
	switch {
	case args[0] == "listen" && len(rest) == 0:
		work = func() error { return listen(s, stdin, stdout) }
	case args[0] == "perf" && len(rest) == 1:
		addr, err := parseAddr(rest[0], s.mode.socket)
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		work = func() error { return perf(s, addr, stdout) }
	default:
		return errUsage
	}
	return profiled(s, work)
}

// parse reads the flags, which may stand before, between and after the positional arguments.
func (s *settings) parse(args []string, stderr io.Writer) (rest []string, err error) {
	flags := flag.NewFlagSet("limit", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.modeName, "mode", "tcp", "tcp, aead, tls or quic")
	flags.StringVar(&s.ip, "ip", "127.0.0.1", "address to listen on")
	flags.UintVar(&s.port, "port", 0, "port to listen on, 0 for any")
	flags.Uint64Var(&s.upload, "upload", 0, "bytes to send")
	flags.Uint64Var(&s.download, "download", 0, "bytes to ask for")
	flags.IntVar(&s.block, "block", 64<<10, "bytes a read or a write of the application")
	flags.DurationVar(&s.timeout, "timeout", 5*time.Minute, "bound of one exchange")
	flags.StringVar(&s.cpu, "cpuprofile", "", "file for a CPU profile")
	flags.StringVar(&s.mem, "memprofile", "", "file for a profile of allocations")
	for err = flags.Parse(args); err == nil && flags.NArg() > 0; err = flags.Parse(args) {
		rest = append(rest, flags.Arg(0))
		args = flags.Args()[1:]
	}
	var known bool
	s.mode, known = modes()[s.modeName]
	switch {
	case err != nil:
		return nil, err
	case !known:
		return nil, fmt.Errorf("--mode %q: %w", s.modeName, errMode)
	case s.block < 1:
		return nil, fmt.Errorf("--block %d: want 1 or more", s.block)
	}
	return rest, nil
}

// formatAddr and parseAddr write and read /ip4/A/tcp/N, and the same with ip6 and with udp.
func formatAddr(a net.Addr) string {
	at := netip.MustParseAddrPort(a.String())
	family := "ip6"
	if at.Addr().Unmap().Is4() {
		family = "ip4"
	}
	return fmt.Sprintf("/%s/%s/%s/%d", family, at.Addr().Unmap(), a.Network(), at.Port())
}

func parseAddr(s, socket string) (netip.AddrPort, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 5 || parts[0] != "" || parts[3] != socket || (parts[1] != "ip4" && parts[1] != "ip6") {
		return netip.AddrPort{}, fmt.Errorf("address %q: want /ip4/A/%s/N or /ip6/A/%[2]s/N", s, socket)
	}
	ip, err := netip.ParseAddr(parts[2])
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: %w", s, err)
	}
	if ip.Is4() != (parts[1] == "ip4") {
		return netip.AddrPort{}, fmt.Errorf("address %q: %s is no %s address", s, ip, parts[1])
	}
	port, err := strconv.ParseUint(parts[4], 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: %w", s, err)
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil
}

// profiled does the work under the profiles that are asked for.
func profiled(s settings, work func() error) error {
	if s.cpu != "" {
		file, err := os.Create(s.cpu)
		if err != nil {
			return fmt.Errorf("--cpuprofile: %w", err)
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return fmt.Errorf("--cpuprofile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	if err := work(); err != nil {
		return err
	}
	if s.mem == "" {
		return nil
	}
	file, err := os.Create(s.mem)
	if err != nil {
		return fmt.Errorf("--memprofile: %w", err)
	}
	defer file.Close()
	runtime.GC()
	return pprof.Lookup("allocs").WriteTo(file, 0)
}

// emit writes v as one line. A reader that has gone away is no error of the measurement.
func emit(w io.Writer, v any) { _ = json.NewEncoder(w).Encode(v) }
