// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	xnodecmd "github.com/xnode-p2p/xnode/cmd"
	_ "github.com/xnode-p2p/xnode/modules/standard"
)

// asCommand makes this test binary be the command instead.
const asCommand = "XNODE_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		xnodecmd.Main(xnodecmd.Docs)
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what must happen soon.
const patience = time.Minute

// testNode is a folder for a node and the means to run commands with it.
type testNode struct {
	t   *testing.T
	dir string // short: unix sockets want that
	env []string
}

func newNode(t *testing.T) *testNode {
	t.Helper()
	dir, err := os.MkdirTemp("", "xn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &testNode{t: t, dir: dir}
}

// write writes a file in the node's folder and returns its path.
func (n *testNode) write(name, text string) string {
	n.t.Helper()
	path := filepath.Join(n.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return path
}

func (n *testNode) data() string { return filepath.Join(n.dir, "data") }

func (n *testNode) command(args ...string) *exec.Cmd {
	n.t.Helper()
	self, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Dir = n.dir
	cmd.Env = append(os.Environ(), asCommand+"=1", "XNODE_DATA="+n.data(), "HOME="+n.dir, "XDG_DATA_HOME=", "XDG_CONFIG_HOME=", "XNODE_ADMIN=",
		"GORACE=atexit_sleep_ms=0") // a command under the race detector would linger for a second
	cmd.Env = append(cmd.Env, n.env...)
	return cmd
}

// output is what a command left.
type output struct {
	stdout, stderr string
	code           int
}

// xnode runs a command to its end.
func (n *testNode) xnode(stdin string, args ...string) output {
	n.t.Helper()
	cmd := n.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	stop := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer stop.Stop()
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		n.t.Fatal(err)
	}
	return output{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// must runs a command that has to succeed and returns what it printed.
func (n *testNode) must(args ...string) string {
	n.t.Helper()
	out := n.xnode("", args...)
	if out.code != 0 {
		n.t.Fatalf("%v: %+v", args, out)
	}
	return out.stdout
}

// process is a command that runs on.
type process struct {
	*testNode
	cmd    *exec.Cmd
	stdout chan string // lines
	stderr chan string
	ended  chan struct{}
	id     string
	addrs  []string
}

// start starts a command that runs on.
func (n *testNode) start(args ...string) *process {
	n.t.Helper()
	return n.launch(n.command(args...))
}

func (n *testNode) launch(cmd *exec.Cmd) *process {
	n.t.Helper()
	p := &process{testNode: n, cmd: cmd, ended: make(chan struct{})}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	errs, err := p.cmd.StderrPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	p.stdout, p.stderr = lines(out), lines(errs)
	n.t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.wait()
	})
	return p
}

// lines sends the lines of r, as many as come.
func lines(r io.Reader) chan string {
	c := make(chan string, 10000)
	var reading sync.WaitGroup // its end is that of the channel
	reading.Go(func() {
		defer close(c)
		s := bufio.NewScanner(r)
		for s.Scan() {
			c <- s.Text()
		}
	})
	return c
}

// run starts a node and waits until it has printed its addresses. It must
// listen on one address.
func (n *testNode) run(args ...string) *process {
	n.t.Helper()
	return n.start(append([]string{"run"}, args...)...).ready()
}

// ready waits until a node has printed its addresses.
func (p *process) ready() *process {
	p.t.Helper()
	p.id = p.line(p.stdout, "12D3KooW")
	p.addrs = append(p.addrs, p.line(p.stdout, "/p2p/"+p.id))
	return p
}

// line waits for a line that contains all the texts.
func (p *process) line(from chan string, texts ...string) string {
	p.t.Helper()
	timeout := time.After(patience)
	var seen []string
next:
	for {
		select {
		case line, ok := <-from:
			if !ok {
				p.t.Fatalf("ended without a line with %q:\n%s", texts, strings.Join(append(seen, p.drain()...), "\n"))
			}
			seen = append(seen, line)
			for _, text := range texts {
				if !strings.Contains(line, text) {
					continue next
				}
			}
			return line
		case <-timeout:
			p.t.Fatalf("no line with %q:\n%s", texts, strings.Join(seen, "\n"))
		}
	}
}

// drain returns what stands on standard error.
func (p *process) drain() (list []string) {
	for {
		select {
		case line, ok := <-p.stderr:
			if !ok {
				return list
			}
			list = append(list, line)
		case <-time.After(patience):
			return list
		}
	}
}

// wait waits for the end and returns the exit code.
func (p *process) wait() int {
	for range p.stdout {
	}
	for range p.stderr {
	}
	_ = p.cmd.Wait() // the exit code says it
	return p.cmd.ProcessState.ExitCode()
}

// signal sends a signal.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// request sends a request to the admin endpoint.
func (n *testNode) request(method, path, body string, header ...string) (status int, answer string) {
	n.t.Helper()
	return request(n.t, "unix", filepath.Join(n.data(), "admin.sock"), method, path, body, header...)
}

func request(t *testing.T, network, address, method, path, body string, header ...string) (status int, answer string) {
	t.Helper()
	host := "xnode"
	if network == "tcp" {
		host = address
	}
	// A node that is being reloaded drops requests that it has not read yet.
	// One that refuses a request need not read all of it, and the client may
	// not get to see the answer.
	for range 20 {
		status, answer, err := tryRequest(t.Context(), network, address, host, method, path, body, header)
		if err == nil {
			return status, answer
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	t.Fatalf("%s %s: dropped every time", method, path)
	return 0, ""
}

func tryRequest(ctx context.Context, network, address, host, method, path, body string, header []string) (status int, answer string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+host+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Del(header[i])
		if header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}}
	a, err := transport.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	return a.StatusCode, string(b), err
}

// local is a document of a node that listens on one local address.
func local(keys string) string {
	if keys != "" {
		keys = ", " + keys
	}
	return inNode(`"listen": ["/ip4/127.0.0.1/tcp/0"]` + keys)
}

// soon waits until a command of a node says what is wanted.
func (n *testNode) soon(what string, holds func(answer string) bool, args ...string) {
	n.t.Helper()
	var answer string
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(100 * time.Millisecond) {
		if answer = n.must(args...); holds(answer) {
			return
		}
	}
	n.t.Fatalf("%s: %v says %q", what, args, answer)
}

func has(text string) func(string) bool {
	return func(answer string) bool { return strings.Contains(answer, text) }
}
