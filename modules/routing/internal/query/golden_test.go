// SPDX-License-Identifier: Apache-2.0 OR MIT

package query

import (
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/ipgroup"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

var update = flag.Bool("update", false, "write the golden traces anew")

// TestGolden plays the scripts in testdata. Their lines are
//
//	set beta 1                    a field of the configuration
//	0s start 80 90@1              the seeds; @ is followed by the group
//	50ms answer 80: 40 41@2       who answers, and whom it tells of
//	60ms fail 90
//	70ms tick
//	80ms stop
//
// with what the query does below each, indented. A peer is named by the
// leading bytes of its distance to the target, in hexadecimal.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("now it goes so:\n%s", got)
			}
		})
	}
}

// play returns a script with what the query does now.
func play(t *testing.T, script string) string {
	var out strings.Builder
	var config Config
	var q *Query
	names := map[peer.ID]string{}
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "\t"):
			continue // what it did before
		case len(fields) == 0 || fields[0] == "#":
			fmt.Fprintln(&out, line)
			continue
		case fields[0] == "set":
			set(t, &config, fields[1], fields[2])
			fmt.Fprintln(&out, line)
			continue
		case q == nil:
			q = New(keyspace.Key{}, config)
		}
		after, err := time.ParseDuration(fields[0])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		e := event(t, fields[1:], names)
		fmt.Fprintln(&out, line)
		do(&out, q, q.Step(e, start.Add(after)), names)
	}
	return out.String()
}

func do(out *strings.Builder, q *Query, a Actions, names map[peer.ID]string) {
	if len(a.Ask) > 0 {
		fmt.Fprintf(out, "\task%s\n", list(a.Ask, names))
	}
	if a.Done {
		r := q.Result()
		fmt.Fprintf(out, "\t%s after %v:%s\n\t%d asked, %d answered, %d failed, %d hops\n",
			r.Reason, r.Took, list(r.Closest, names), r.Asked, r.Answered, r.Failed, r.Hops)
	} else if len(a.Ask) == 0 {
		fmt.Fprintf(out, "\twait until %v\n", q.Wake().Sub(start))
	}
}

func list(peers []peer.ID, names map[peer.ID]string) (text string) {
	for _, p := range peers {
		text += " " + names[p]
	}
	return text
}

var start = time.Unix(1_700_000_000, 0)

func set(t *testing.T, c *Config, name, value string) {
	field := reflect.ValueOf(c).Elem().FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, name) })
	if d, err := time.ParseDuration(value); err == nil && value != "0" {
		field.SetInt(int64(d))
		return
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatalf("set %s %s: %v", name, value, err)
	}
	field.SetInt(int64(n))
}

func event(t *testing.T, fields []string, names map[peer.ID]string) Event {
	var peers []Peer
	for _, f := range fields[1:] {
		name, group, _ := strings.Cut(strings.TrimSuffix(f, ":"), "@")
		g, _ := strconv.Atoi(group)
		p := named(name)
		names[p] = name
		peers = append(peers, Peer{p, ipgroup.Group(g)})
	}
	switch fields[0] {
	case "start":
		return Start{peers}
	case "answer":
		return Answer{peers[0], peers[1:]}
	case "fail":
		return Failure{peers[0].ID}
	case "tick":
		return Tick{}
	case "stop":
		return Stop{}
	}
	t.Fatalf("what is %q?", fields[0])
	return nil
}

var found = map[string]peer.ID{}

// named finds a peer ID whose distance to the zero key begins with the bytes
// of its name.
func named(name string) peer.ID {
	if p, ok := found[name]; ok {
		return p
	}
	want, err := hex.DecodeString(name)
	if err != nil {
		panic(err)
	}
	id := [34]byte{0x12, 0x20}
	for n := uint64(0); ; n++ {
		binary.BigEndian.PutUint64(id[26:], n)
		if k := keyspace.Of(id[:]); string(k[:len(want)]) == string(want) {
			found[name] = peer.ID(id[:])
			return found[name]
		}
	}
}
