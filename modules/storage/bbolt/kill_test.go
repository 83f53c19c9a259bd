// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build unix

package bbolt

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// killVar names the file of the process that is going to be killed.
const killVar = "XNODE_TEST_STORE"

// killWriters is how many write at once.
const killWriters = 3

// ringOf is how many keys each writer uses, one after the other.
const ringOf = 50

// victim writes until it is killed, and says on standard output what it may rely on.
func victim(t *testing.T, path string) {
	b := &Bbolt{path: path, MaxSize: 4 << 30, log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	if err := b.Start(t.Context(), coretest.FakeNodes(t, 1)[0]); err != nil {
		panic(err)
	}
	table, err := b.Table("test/kill", core.Quota{Entries: 10 * ringOf * killWriters})
	if err != nil {
		panic(err)
	}
	begin := 0
	if v, err := table.Get([]byte("round")); err == nil {
		begin = int(binary.BigEndian.Uint64(v)) + 1
	}
	if err := table.Apply(core.Change{Key: []byte("round"), Value: binary.BigEndian.AppendUint64(nil, uint64(begin))}); err != nil {
		panic(err)
	}
	var writers sync.WaitGroup
	for w := range killWriters {
		writers.Go(func() {
			for i := 0; ; i++ {
				value := fmt.Sprintf("%d.%d", begin, i)
				// Both or none: the second is the same in reverse.
				err := table.Apply(put(fmt.Sprintf("%d/%d", w, i%ringOf), value+strings.Repeat("x", i%500)),
					put(fmt.Sprintf("mirror/%d/%d", w, i%ringOf), value), put(fmt.Sprintf("latest/%d", w), value))
				if err != nil {
					panic(err)
				}
				fmt.Printf("%d %d %s\n", w, i%ringOf, value)
			}
		})
	}
	writers.Wait()
}

// TestEvil_K10_Killed kills a process that writes, again and again. Nothing that it
// has been told to be written is lost, and what belongs together is together.
func TestEvil_K10_Killed(t *testing.T) {
	if path := os.Getenv(killVar); path != "" {
		victim(t, path)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	kills := 200
	if testing.Short() {
		kills = 15
	}
	path := filepath.Join(t.TempDir(), "store.db")
	acknowledged := map[string]string{} // the last value of each key, and of each writer
	total := 0
	r := rand.New(rand.NewPCG(9, 10))
	for round := range kills {
		cmd := exec.Command(self, "-test.run=^TestEvil_K10_Killed$")
		cmd.Env = append(os.Environ(), killVar+"="+path)
		cmd.Stderr = t.Output()
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, until := 0, r.IntN(60)
		for s := bufio.NewScanner(out); s.Scan(); {
			var w, slot int
			var value string
			if n, err := fmt.Sscan(s.Text(), &w, &slot, &value); n != 3 || err != nil {
				t.Errorf("the process says %q", s.Text())
				break
			}
			acknowledged[fmt.Sprintf("mirror/%d/%d", w, slot)] = value
			acknowledged[fmt.Sprintf("latest/%d", w)] = value
			total++
			if lines++; lines > until {
				_ = cmd.Process.Signal(syscall.SIGKILL) // what it says after that counts too
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the process has ended by itself")
		}
		verifyKilled(t, path, acknowledged)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d kills, %d writes acknowledged, none lost", kills, total)
}

// verifyKilled compares the file with what was acknowledged.
func verifyKilled(t *testing.T, path string, acknowledged map[string]string) {
	t.Helper()
	b, log := started(t, path)
	table := opened(t, b, "test/kill", core.Quota{Entries: 10 * ringOf * killWriters})
	for key, want := range acknowledged {
		got, err := table.Get([]byte(key))
		if err != nil || older(string(got), want) {
			t.Errorf("%s: %q, %v, acknowledged is %q", key, got, err, want)
		}
		// One write may have come after the last that was heard of.
		acknowledged[key] = string(got)
		if rest, ok := strings.CutPrefix(key, "mirror/"); ok {
			if twin, err := table.Get([]byte(rest)); err != nil || strings.TrimRight(string(twin), "x") != string(got) {
				t.Errorf("%s is %q, %v, its mirror %q", rest, twin, err, got)
			}
		}
	}
	n, size := 0, int64(0)
	for e, err := range table.Scan(nil) {
		if err != nil {
			t.Error(err)
		}
		n++
		size += int64(len(e.Key) + len(e.Value))
	}
	if stat, err := table.Stat(); err != nil || stat.Entries != n || stat.Bytes != size {
		t.Errorf("%+v, %v, want %d entries, %d bytes", stat, err, n, size)
	}
	closed(t, b, table)
	if lines := log.lines(); len(lines) > 0 {
		t.Errorf("said %q", lines)
	}
}

// older tells whether the value a was written before b by the same writer.
func older(a, b string) bool {
	var roundA, roundB, a1, b1 int
	if n, err := fmt.Sscanf(a+" "+b, "%d.%d %d.%d", &roundA, &a1, &roundB, &b1); n != 4 || err != nil {
		return true
	}
	return roundA < roundB || roundA == roundB && a1 < b1
}
