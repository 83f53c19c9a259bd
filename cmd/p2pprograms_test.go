// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	ephemeral "github.com/xnode-p2p/xnode/cmd/internal/node"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/protocol/perf"
)

// programs finds what the machine must have for a test.
func programs(t *testing.T, names ...string) []string {
	t.Helper()
	var paths []string
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil && os.Getuid() == 0 {
			path, err = exec.LookPath("/usr/sbin/" + name)
		}
		if err != nil {
			t.Skipf("%s is not installed", name)
		}
		paths = append(paths, path)
	}
	return paths
}

// tunnel starts two nodes with a tunnel to a port of this machine, and returns the
// node with the server and the port of the tunnel.
func tunnel(t *testing.T, to string) (server *process, port string) {
	t.Helper()
	a, b := newNode(t), newNode(t)
	server = a.run("-c", a.write("node.json", tunnelNode))
	b.run("-c", b.write("node.json", tunnelNode))
	b.must("connect", server.addrs[0])
	a.must("p2p", "listen", "/x/test", "/ip4/127.0.0.1/tcp/"+to, "*")
	out := b.must("p2p", "forward", "/x/test", "/ip4/127.0.0.1/tcp/0", server.id)
	at := strings.Split(strings.Fields(out)[1], "/")
	return server, at[len(at)-1]
}

// iperf3 measures what a connection carries, beside the same without a tunnel and
// what a stream carries between two nodes.
func TestTunnelCarriesIperf3(t *testing.T) {
	const size = 64 << 20
	iperf3 := programs(t, "iperf3")[0]
	direct := strconv.Itoa(freePort(t))
	server, through := tunnel(t, direct)
	for _, way := range []struct{ name, port, flag string }{
		{"a TCP connection", direct, ""}, {"the tunnel, to the server", through, ""}, {"the tunnel, from the server", through, "-R"},
	} {
		daemon := server.launch(exec.Command(iperf3, "-s", "-1", "-B", "127.0.0.1", "-p", direct, "--forceflush"))
		daemon.line(daemon.stdout, "Server listening")
		args := append(strings.Fields(way.flag), "-c", "127.0.0.1", "-p", way.port, "-n", fmt.Sprint(size), "-J")
		out, err := exec.CommandContext(t.Context(), iperf3, args...).Output()
		var report struct {
			Error string
			End   struct {
				Received struct {
					Bytes uint64
					Speed float64 `json:"bits_per_second"`
				} `json:"sum_received"`
			}
		}
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatalf("%s: %v: %s", way.name, err, out)
		}
		if err != nil || report.Error != "" || report.End.Received.Bytes == 0 {
			t.Fatalf("%s: %v, %+v", way.name, err, report)
		}
		t.Logf("%s: %.0f MiB/s", way.name, report.End.Received.Speed/8/(1<<20))
		daemon.wait()
	}
	h, end, err := ephemeral.Ephemeral(t.Context(), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	info, err := peer.ParseAddrInfo(server.addrs[0])
	if err == nil {
		_, err = h.Connect(t.Context(), info)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := perf.Measure(t.Context(), h, info.ID, perf.Work{Upload: size, Download: size})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a stream: to the server %.0f MiB/s, from it %.0f", 64/r.Upload.Seconds(), 64/r.Download.Seconds())
}

// Somebody works on another machine by ssh, and copies a file to it.
func TestTunnelCarriesSSH(t *testing.T) {
	tools := programs(t, "sshd", "ssh", "scp", "ssh-keygen")
	sshd, ssh, scp, keygen := tools[0], tools[1], tools[2], tools[3]
	if _, err := os.Stat("/run/sshd"); err != nil && os.Getuid() == 0 {
		t.Skip("sshd as root wants the folder /run/sshd")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, key := range []string{"host", "own"} {
		if out, err := exec.CommandContext(t.Context(), keygen, "-q", "-t", "ed25519", "-N", "", "-f", in(key)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	port := strconv.Itoa(freePort(t))
	config := fmt.Sprintf("ListenAddress 127.0.0.1:%s\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nPrintMotd no\nSubsystem sftp internal-sftp\n",
		port, in("host"), in("own.pub"))
	if err := os.WriteFile(in("sshd_config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	server, through := tunnel(t, port)
	daemon := server.launch(exec.Command(sshd, "-D", "-e", "-f", in("sshd_config")))
	daemon.line(daemon.stderr, "Server listening")
	options := []string{"-F", "none", "-i", in("own"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=" + in("known")}

	// A session with a terminal: what is typed is answered while it goes on.
	cmd := exec.CommandContext(t.Context(), ssh, append(options, "-tt", "-p", through, me.Username+"@127.0.0.1", "/bin/sh")...)
	keyboard, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	session := server.launch(cmd)
	for i := range 20 {
		if _, err := fmt.Fprintf(keyboard, "echo answer-$((%d*%d)) on $(tty)\n", i, i); err != nil {
			t.Fatal(err)
		}
		session.line(session.stdout, fmt.Sprintf("answer-%d on /dev/", i*i))
	}
	if _, err := io.WriteString(keyboard, "exit 7\n"); err != nil {
		t.Fatal(err)
	}
	if code := session.wait(); code != 7 {
		t.Errorf("the session ended with %d", code)
	}

	// Copies of a file, beside one without a tunnel.
	file := make([]byte, 16<<20)
	_, _ = rand.Read(file) // never fails
	if err := os.WriteFile(in("file"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, port := range map[string]string{"a TCP connection": port, "the tunnel": through} {
		begin := time.Now()
		out, err := exec.CommandContext(t.Context(), scp, append(options, "-P", port, in("file"), me.Username+"@127.0.0.1:"+in("copy"))...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		t.Logf("scp over %s: %.2f s", name, time.Since(begin).Seconds())
		if got, err := os.ReadFile(in("copy")); err != nil || !bytes.Equal(got, file) {
			t.Errorf("the copy over %s has %d bytes, and is not the same: %v", name, len(got), err)
		}
		if err := os.Remove(in("copy")); err != nil {
			t.Error(err)
		}
	}
}
