// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

// TestMain is a peer if it is asked to be one.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "peer" {
		fakePeer(os.Args[2])
		os.Exit(0)
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // for those peers: a second each otherwise
	os.Exit(m.Run())
}

// fakePeer serves an echo, and has two bytes echoed one after the other for a handshake.
func fakePeer(command string) {
	switch command {
	case "listen":
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		defer l.Close()
		go func() {
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				go io.Copy(conn, conn)
			}
		}()
		at := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/x", l.Addr().(*net.TCPAddr).Port)
		if i := slices.Index(os.Args, "--reserve"); i > 0 {
			at += `","` + os.Args[i+1] + "/p2p-circuit/webrtc/p2p/y"
		}
		fmt.Printf(`{"addrs":["%s"]}`+"\n", at)
		answerMemory()
	case "sim-dht":
		fmt.Println(`{"latency_median_ms":2}`)
	case "sim-gossip":
		fmt.Println(`{"cpu_us_per_delivery":2,"delivery_ratio":1,"rss_kib_per_node":2,"duplicates_per_delivery":2}`)
	case "dht-table":
		fmt.Println(`{"bytes":2048}`)
	case "idle", "dht-load":
		fmt.Println(`{"conns":300}`)
		answerMemory()
	case "handshakes":
		at := strings.Split(os.Args[len(os.Args)-1], "/")
		conn, err := net.Dial("tcp4", net.JoinHostPort(at[2], at[4]))
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		for b := make([]byte, 1); b[0] < 2; b[0]++ {
			if _, err := conn.Write(b); err != nil {
				panic(err)
			}
			if _, err := io.ReadFull(conn, b); err != nil {
				panic(err)
			}
		}
		if _, err := conn.Write([]byte("never answered in time")); err != nil {
			panic(err)
		}
		fallthrough
	default:
		fmt.Println(`{"client_cpu_seconds":0.5,"errors":0}`)
	}
}

func answerMemory() {
	for scan := bufio.NewScanner(os.Stdin); scan.Scan(); {
		fmt.Println(`{"heap_alloc":1024,"stack_inuse":2048,"goroutines":4}`)
	}
}

func TestFigureBefore(t *testing.T) {
	got, err := figureBefore("Benchmark-2\t1\t5 ns/op\t123456 B/table\t1000 members\n", " B/table")
	if err != nil || got != 123456 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "5 ns/op", " B/table"} {
		if got, err := figureBefore(bad, " B/table"); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestEveryCaseRuns(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	fake := func(name string) peers.Peer { return peers.Peer{Name: name, Argv: []string{exe, "peer"}} }
	js, got := fake("js"), []string(nil)
	for _, c := range allCases(full, cast{fake("own"), fake("rival"), fake("limit"), &js}) {
		for rep := range 2 {
			if err := c.repeat(t.Context(), rep); err != nil {
				t.Fatal(err)
			}
		}
		o := c.outcome()
		line := fmt.Sprintf("%s, %.1f:", o.Case, o.Bar)
		for _, f := range o.Figures {
			line += " " + f.Contender
		}
		got = append(got, line)
		switch f := o.Figures[0]; o.table {
		case ofTime:
			if f.Client <= 0 {
				t.Errorf("%s: %+v", c.name, f)
			}
		case ofTrips:
			if f.Trips != 2 {
				t.Errorf("%s: %v round trips, want 2", c.name, f.Trips)
			}
		case ofFigure:
			if f.Server != 2 && o.Case != "dht: request of a server" && !strings.HasPrefix(o.Case, "relay: ") {
				t.Errorf("%s: %v, want 2", c.name, f.Server)
			}
		}
	}
	want := []string{
		"upload over tcp+noise, 1.0: own rival limit aead limit tcp",
		"download over tcp+noise, 1.0: own rival limit aead limit tcp",
		"upload over tcp+tls, 0.9: own rival limit tls",
		"download over tcp+tls, 0.9: own rival limit tls",
		"upload over ws+noise, 0.6: own rival limit aead",
		"download over ws+noise, 0.6: own rival limit aead",
		"upload over quic, 1.0: own rival limit quic",
		"download over quic, 1.0: own rival limit quic",
		"upload over webtransport, 1.0: own rival limit quic",
		"download over webtransport, 1.0: own rival limit quic",
		"upload over webrtc-direct, 0.6: own rival",
		"download over webrtc-direct, 0.6: own rival",
		"handshake over tcp+noise, 0.7: own rival",
		"handshake with identify over tcp+noise, 0.7: own rival",
		"handshake over tcp+tls, 0.8: own rival",
		"handshake over quic, 1.0: own rival",
		"round trips of a handshake over tcp+noise, 1.0: own rival",
		"round trips of a handshake over tcp+tls, 1.0: own rival",
		"stream, 16 at a time, over tcp+noise, 1.0: own rival",
		"stream, one at a time, over tcp+noise, 1.0: own rival",
		"stream, 16 at a time, over quic, 1.0: own rival",
		"stream, one at a time, over quic, 1.0: own rival",
		"idle connection over tcp+noise, 0.8: own rival",
		"idle connection over quic, 1.0: own rival",
		"upload over webrtc, 0.0: own own webrtc-direct js",
		"download over webrtc, 0.0: own own webrtc-direct js",
		"handshake with identify over webrtc, nodes included, 0.0: own own webrtc-direct",
		"relay: bytes carried over tcp+noise, 0.7: own rival",
		"relay: 1,000 places, with their connections, 0.0: own rival",
		"relay: a circuit, with the connection of who dials, 0.0: own rival",
		"dht: look-up among 60 nodes, 0.8: own rival",
		"dht: announcement of content among 60 nodes, 0.8: own rival",
		"dht: request of a server, 0.6: own rival",
		"dht: routing table of 1,000 peers, 0.6: own rival",
		"pubsub: relay of a signed message of 256 bytes, 0.6: own rival",
		"pubsub: relay of a signed message of 4096 bytes, 0.6: own rival",
		"pubsub: 50 nodes, 20 messages a second: processor time, 0.5: own rival",
		"pubsub: 50 nodes, 20 messages a second: memory, 0.5: own rival",
		"pubsub: 50 nodes, 20 messages a second: duplicates, 1.0: own rival",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNamed(t *testing.T) {
	for _, c := range []struct {
		words string
		want  bool
	}{{"", true}, {"over quic", true}, {"idle,upload", true}, {"idle,tls", false}} {
		if got := named("upload over quic", c.words); got != c.want {
			t.Errorf("%q: %v", c.words, got)
		}
	}
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		took, bar float64
		want      bool
	}{{1.2, 0, false}, {1.2, 1, true}, {1, 1, false}, {1.004, 1, false}, {1.006, 1, true}, {0.7, 0.8, false}} {
		of := func(name string, cpu float64) contender { return contender{name: fmt.Sprint(name, " ", cpu)} }
		b := benchCase{bar: c.bar, contenders: []contender{of("own", c.took), of("rival", 1)}}
		b.measure = func(_ context.Context, k contender) (sample, error) {
			var s sample
			_, err := fmt.Sscan(strings.Fields(k.name)[1], &s.server)
			return s, err
		}
		if err := b.repeat(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if got := b.outcome().Missed; got != c.want {
			t.Errorf("%v of the rival's, bar %v: missed %v", c.took, c.bar, got)
		}
	}
}

// A bar may be a figure.
func TestMost(t *testing.T) {
	for most, want := range map[float64]string{3: "; 2.0, at most 3 wanted", 1: "; MISSED: 2.0, at most 1 wanted"} {
		b := benchCase{per: 1, table: ofMemory, most: most, contenders: []contender{{name: "own"}, {name: "rival"}}}
		b.measure = func(context.Context, contender) (sample, error) { return sample{server: 2}, nil }
		if err := b.repeat(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if o := b.outcome(); o.verdict() != want || o.Missed != (most < 2) {
			t.Errorf("%s", o.verdict())
		}
	}
}

func TestOutcome(t *testing.T) {
	turns := map[string]int{}
	c := &benchCase{
		name: "work", unit: "µs", per: 10, calls: 0.5, callsOf: "one",
		contenders: []contender{{name: "own"}, {name: "rival"}},
		measure: func(_ context.Context, k contender) (sample, error) {
			turns[k.name]++
			n := float64(turns[k.name])
			if k.name == "own" {
				return sample{server: n, client: 1, writes: 2}, nil // 2, 3, 4
			}
			return sample{server: 4, client: 4 * n, writes: 6}, nil // 8, 12, 16
		},
	}
	for rep := range 3 {
		if err := c.repeat(t.Context(), rep); err != nil {
			t.Fatal(err)
		}
	}
	want := outcome{Case: "work", Unit: "µs", CallsOf: "one", Figures: []figure{
		{Contender: "own", Server: 20, Client: 10, Both: 30, Writes: 1, Ratio: 1},
		{Contender: "rival", Server: 40, Client: 80, Both: 120, Writes: 3, Ratio: 0.25},
	}}
	if diff := cmp.Diff(want, c.outcome(), cmp.AllowUnexported(outcome{})); diff != "" {
		t.Error(diff)
	}
}

func TestPrint(t *testing.T) {
	r := report{Go: "go1", CPUs: 2, Reps: 3, Others: 0.25, Cases: []outcome{
		{Case: "upload", Unit: "CPU s per GiB", CallsOf: "64 KiB", Bar: 1.5, Missed: true, Figures: []figure{
			{Contender: "own", Server: 1, Client: 20, Both: 300, Reads: 1, Writes: 2, Ratio: 1},
			{Contender: "rival", Server: 1, Client: 1, Both: 2, Ratio: 150},
		}},
		{Case: "idle connection", Unit: "KiB", table: ofMemory, Figures: []figure{
			{Contender: "own", Server: 16, Heap: 8, Stack: 4, Goroutines: 1, Ratio: 1},
		}},
		{Case: "round trips", Unit: "counted", table: ofTrips, Bar: 1, Figures: []figure{
			{Contender: "own", Trips: 2, Ratio: 1}, {Contender: "rival", Trips: 2.5, Ratio: 0.8},
		}},
	}}
	var b strings.Builder
	if err := r.print(&b); err != nil {
		t.Fatal(err)
	}
	want := `go1, 2 processors, 3 repetitions, medians; other processes took 25 % of the processors

upload: CPU s per GiB; MISSED: 150.00 of rival, at most 1.50 wanted
         server  client  both  server's reads  writes per 64 KiB  own / this
    own    1.00    20.0   300            1.00               2.00        1.00
  rival    1.00    1.00  2.00            0.00               0.00      150.00

idle connection: KiB
       resident  heap  stacks  goroutines  own / this
  own      16.0   8.0     4.0         1.0        1.00

round trips: counted; 0.80 of rival, at most 1.00 wanted
         round trips  own / this
    own          2.0        1.00
  rival          2.5        0.80

MISSED: upload
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 3}, 3}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(len(c.values), func(i int) float64 { return c.values[i] }); got != c.want {
			t.Errorf("%v: %v", c.values, got)
		}
	}
}

func TestOthers(t *testing.T) {
	before, after := machine{all: 100, busy: 50, own: 10}, machine{all: 200, busy: 110, own: 30}
	if got := before.others(after); got != 0.4 {
		t.Errorf("others took %v", got)
	}
	if got := (machine{}).others(machine{}); got != 0 {
		t.Errorf("no time: %v", got)
	}
	if m := machineNow(); m.own > m.all {
		t.Errorf("%+v", m)
	}
}

func TestRepetitionThatBreaksOffCountsForNobody(t *testing.T) {
	broken := errors.New("broken")
	turns := 0
	c := &benchCase{name: "work", contenders: []contender{{name: "own"}, {name: "rival"}}}
	c.measure = func(context.Context, contender) (sample, error) {
		if turns++; turns == 4 {
			return sample{}, broken
		}
		return sample{server: 1}, nil
	}
	done, err := repeatAll(t.Context(), []*benchCase{c}, 5, io.Discard)
	if done != 1 || !errors.Is(err, broken) || len(c.samples["own"]) != 1 || len(c.samples["rival"]) != 1 {
		t.Errorf("%d repetitions, %v, samples %v", done, err, c.samples)
	}
}

func TestDetourGoesToTCPOnly(t *testing.T) {
	for _, addr := range []string{"", "/ip4/127.0.0.1", "/ip4/127.0.0.1/udp/1/quic-v1", "/ip6/::1/tcp/1"} {
		if d, through, err := newDetour(addr); err == nil {
			t.Errorf("%s: through %s", addr, through)
			d.close()
		}
	}
}
