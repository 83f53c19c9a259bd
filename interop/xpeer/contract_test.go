// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// lists is a Redis server that knows DEL, RPUSH, BLPOP without a timeout, SET and
// GET.
type lists struct {
	mu     sync.Mutex
	added  sync.Cond
	lists  map[string][]string
	values map[string]string
	ended  bool
}

func serveLists(t *testing.T) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &lists{lists: map[string][]string{}, values: map[string]string{}}
	s.added.L = &s.mu
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		s.ended = true
		s.added.Broadcast()
		s.mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

func (s *lists) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		reply, err := readReply(in, maxReplyDepth) // a command is an array of strings
		if err != nil {
			return
		}
		var args []string
		for _, a := range reply.([]any) {
			args = append(args, a.(string))
		}
		fmt.Fprint(conn, s.do(args))
	}
}

func (s *lists) do(args []string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch key := args[1]; args[0] {
	case "DEL":
		delete(s.lists, key)
		return ":1\r\n"
	case "SET":
		s.values[key] = args[2]
		return "+OK\r\n"
	case "GET":
		if v, ok := s.values[key]; ok {
			return fmt.Sprintf("$%d\r\n%s\r\n", len(v), v)
		}
		return "$-1\r\n"
	case "RPUSH":
		s.lists[key] = append(s.lists[key], args[2])
		s.added.Broadcast()
		return fmt.Sprintf(":%d\r\n", len(s.lists[key]))
	case "BLPOP":
		for len(s.lists[key]) == 0 && !s.ended {
			s.added.Wait()
		}
		if s.ended {
			return "*-1\r\n"
		}
		first := s.lists[key][0]
		s.lists[key] = s.lists[key][1:]
		return fmt.Sprintf("*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(key), key, len(first), first)
	}
	return "-ERR unknown command\r\n"
}

func TestPublicSuites(t *testing.T) {
	suites := map[string]struct {
		env    map[string]string
		dialer map[string]string
		check  func(*testing.T, string)
	}{
		"unified-testing": {
			env: map[string]string{
				"IS_DIALER": "false", "TEST_KEY": "0123abcd", "LISTENER_IP": "0.0.0.0",
			},
			dialer: map[string]string{"IS_DIALER": "true"},
			check: func(t *testing.T, out string) {
				want := `^latency:\n  handshake_plus_one_rtt: \d+\.\d+\n  ping_rtt: \d+\.\d+\n  unit: ms\n$`
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("printed %q", out)
				}
			},
		},
		"test-plans": {
			env: map[string]string{
				"is_dialer": "false", "ip": "127.0.0.1", "test_timeout_seconds": "20",
			},
			dialer: map[string]string{"is_dialer": "true"},
			check: func(t *testing.T, out string) {
				var r map[string]float64
				if err := json.Unmarshal([]byte(out), &r); err != nil {
					t.Fatalf("%q: %v", out, err)
				}
				if len(r) != 2 || r["pingRTTMilllis"] <= 0 || r["handshakePlusOneRTTMillis"] <= 0 {
					t.Errorf("printed %q", out)
				}
			},
		},
	}
	for name, suite := range suites {
		for _, stack := range []struct{ transport, security, muxer string }{
			{"tcp", "noise", "yamux"},
			{"tcp", "tls", "mplex"},
			{"ws", "noise", "yamux"},
			{"wss", "tls", "yamux"},
			{"quic-v1", "", ""},
			{"webtransport", "", ""},
			{"webrtc-direct", "", ""},
		} {
			t.Run(name+"/"+stack.transport+"/"+stack.security, func(t *testing.T) {
				env := map[string]string{
					"TRANSPORT": stack.transport, "SECURE_CHANNEL": stack.security, "MUXER": stack.muxer,
					"transport": stack.transport, "security": stack.security, "muxer": stack.muxer,
				}
				maps.Copy(env, suite.env)
				suite.check(t, playBoth(t, env, suite.dialer))
			})
		}
	}
}

// playBoth plays a listener and a dialer, which has more in its environment,
// and returns what the dialer prints.
func playBoth(t *testing.T, env, more map[string]string) string {
	server := serveLists(t)
	part := func(more map[string]string) contract {
		c, ok := contractOf(func(name string) string {
			if strings.EqualFold(name, "REDIS_ADDR") {
				return server
			}
			if v, ok := more[name]; ok {
				return v
			}
			return env[name]
		})
		if !ok {
			t.Fatal("no part")
		}
		return c
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if status := takePart(ctx, part(nil), io.Discard, io.Discard); status == exitDone {
			t.Error("the listener ended well")
		}
	})
	var out bytes.Buffer
	if status := takePart(t.Context(), part(more), &out, t.Output()); status != exitDone {
		t.Errorf("dialer: exit status %d", status)
	}
	cancel()
	wg.Wait()
	return out.String()
}

func TestNoPartWithoutItsEnvironment(t *testing.T) {
	if c, ok := contractOf(func(string) string { return "" }); ok {
		t.Errorf("took part: %+v", c)
	}
}

func TestReplies(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string // %v of the reply
		err  bool
	}{
		{"+OK\r\n", "OK", false},
		{":-7\r\n", "-7", false},
		{"$5\r\nhello\r\n", "hello", false},
		{"$0\r\n\r\n", "", false},
		{"$-1\r\n", "<nil>", false},
		{"*-1\r\n", "<nil>", false},
		{"*2\r\n$1\r\na\r\n:1\r\n", "[a 1]", false},
		{"-ERR no\r\n", "", true},
		{"", "", true},
		{"\r\n", "", true},
		{"+OK\n", "", true},
		{"$5\r\nhello!!", "", true},
		{"$5\r\nhel", "", true},
		{"$x\r\n", "", true},
		{"$-2\r\n", "", true},
		{":-1x\r\n", "", true},
		{"$99999999999\r\n", "", true},
		{"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "", true},
		{"?1\r\n", "", true},
		{"+" + strings.Repeat("a", 5000) + "\r\n", "", true},
	} {
		got, err := readReply(bufio.NewReader(strings.NewReader(c.in)), maxReplyDepth)
		if (err != nil) != c.err || err == nil && fmt.Sprint(got) != c.want {
			t.Errorf("%.40q: %v, %v", c.in, got, err)
		}
	}
}

func TestRedisThatDoesNotAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	r, err := dialRedis(ctx, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	enough := errors.New("enough")
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { cancel(enough) })
	if _, err := r.blpop(ctx, "key"); !errors.Is(err, enough) {
		t.Errorf("blpop: %v", err)
	}
}

func FuzzReply(f *testing.F) {
	f.Add([]byte("*2\r\n$1\r\na\r\n:1\r\n"))
	f.Add([]byte("-ERR no\r\n"))
	f.Add([]byte("*65536\r\n*65536\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = readReply(bufio.NewReader(bytes.NewReader(b)), maxReplyDepth)
	})
}

func TestPublicDHTSuite(t *testing.T) {
	addr := serveLists(t)
	part := func(role string) dhtContract {
		c, ok := dhtContractOf(func(name string) string {
			return map[string]string{"ROLE": role, "REDIS_ADDR": addr, "TEST_KEY": "0123abcd"}[name]
		})
		if !ok {
			t.Fatalf("%s is no part", role)
		}
		return c
	}
	ctx, end := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer end()
	for _, role := range []string{"provider", "bootstrap"} {
		wg.Go(func() {
			if status := part(role).takePart(ctx, io.Discard, t.Output()); status != exitFailed {
				t.Errorf("%s: exit status %d", role, status)
			}
		})
	}
	var out bytes.Buffer
	if status := part("querier").takePart(ctx, &out, t.Output()); status != exitDone || out.String() != "status: pass\n" {
		t.Errorf("exit status %d: %s", status, out.String())
	}
	out.Reset()
	nothing := part("querier")
	nothing.key = "another"
	soon, cancel := context.WithCancelCause(ctx)
	cancel(errors.New("it is over"))
	if status := nothing.takePart(soon, &out, t.Output()); status != exitFailed || !strings.HasPrefix(out.String(), "status: fail\nerror: ") {
		t.Errorf("exit status %d: %s", status, out.String())
	}
	if status := part("cook").takePart(ctx, &out, t.Output()); status != exitFailed {
		t.Errorf("exit status %d", status)
	}
	if _, ok := dhtContractOf(func(string) string { return "" }); ok {
		t.Error("nothing is a part")
	}
}
