// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"encoding/json"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

const tunnelNode = `{"apps": {"xnode": {"listen": ["/ip4/127.0.0.1/tcp/0"], "protocols": {"tunnel": {}, "perf": {}}}}}`

// A file goes from one machine's server to another's client, through two nodes.
func TestTunnelBetweenNodes(t *testing.T) {
	const size = 64 << 20
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer l.Close()
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.CopyN(c, zeros{}, size)
			c.Close()
		}
	})
	server, client := newNode(t), newNode(t)
	for _, n := range []*testNode{server, client} {
		n.must("start", "-c", n.write("node.json", tunnelNode))
		defer n.must("stop")
	}
	var self struct {
		Peer  string
		Addrs []string
	}
	if err := json.Unmarshal([]byte(server.must("id", "--json")), &self); err != nil {
		t.Fatal(err)
	}
	client.must("connect", self.Addrs[0])
	_, port, _ := net.SplitHostPort(l.Addr().String())
	server.must("p2p", "listen", "/x/file", "/ip4/127.0.0.1/tcp/"+port, "*")
	out := client.must("p2p", "forward", "/x/file", "/ip4/127.0.0.1/tcp/0", self.Peer)
	at := strings.Split(strings.Fields(out)[1], "/")
	for name, address := range map[string]string{"the raw connection": l.Addr().String(), "the tunnel": "127.0.0.1:" + at[len(at)-1]} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		n, err := io.Copy(io.Discard, c)
		if n != size || err != nil {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		t.Logf("%s: %.0f MiB/s", name, float64(n)/(1<<20)/time.Since(begin).Seconds())
		c.Close()
	}
	var list []struct{ Protocol, From, To string }
	if err := json.Unmarshal([]byte(client.must("p2p", "ls", "--json")), &list); err != nil || len(list) != 1 || list[0].To != self.Peer {
		t.Errorf("%v, %+v", err, list)
	}
	client.must("p2p", "close", "all")
	if out := client.must("p2p", "ls"); strings.TrimSpace(out) != "" {
		t.Errorf("%q", out)
	}
	if out := client.xnode("", "p2p", "close", "/x/file"); out.code != 1 || !strings.Contains(out.stderr, "there is no tunnel") {
		t.Errorf("%+v", out)
	}
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
