// SPDX-License-Identifier: Apache-2.0 OR MIT

package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// TestMain is a peer if it is asked to be one.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "peer" {
		os.Exit(peer(os.Args[2]))
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // for those peers: a second each otherwise
	os.Exit(m.Run())
}

func peer(part string) int {
	switch part {
	case "done":
		fmt.Println(`{"first":true}`)
		fmt.Println(`{"answer":42}`)
		return 0
	case "failed":
		fmt.Println(`{"ok":false,"error":"nobody there"}`)
		return 1
	case "silent":
		fmt.Fprintln(os.Stderr, "out of\n\tpaper")
		return 3
	case "babble":
		fmt.Println("hello")
		return 0
	case "hang":
		_, _ = io.Copy(io.Discard, os.Stdin) // ended by a kill, or by the end of the test
		select {}
	case "refused":
		fmt.Println(`{"ok":false,"error":"port in use"}`)
		return 1
	case "serve":
		fmt.Println(`{"peer_id":"me"}`)
		for scan := bufio.NewScanner(os.Stdin); scan.Scan(); {
			for range 100 {
				fmt.Println(`{"event":"peer:connect"}`)
			}
			fmt.Printf("{\"said\":%q}\n", scan.Text())
		}
		return 0
	case "serve badly":
		fmt.Println(`{"peer_id":"me"}`)
		_, _ = io.Copy(io.Discard, os.Stdin)
		fmt.Fprintln(os.Stderr, "lost the key")
		return 1
	}
	return 2
}

func argv(t *testing.T, part string) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{exe, "peer", part}
}

func TestRun(t *testing.T) {
	var result struct{ Answer int }
	if err := Run(t.Context(), argv(t, "done"), &result); err != nil || result.Answer != 42 {
		t.Errorf("%+v, %v", result, err)
	}
	for part, want := range map[string]string{
		"failed": "nobody there",
		"silent": "exit status 3: out of paper",
		"babble": `"hello"`,
	} {
		if err := Run(t.Context(), argv(t, part), &result); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", part, err, want)
		}
	}
	if err := Run(t.Context(), []string{"/nowhere/peer"}, &result); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a peer that is not there: %v", err)
	}
}

func TestRunIsCutShort(t *testing.T) {
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if err := Run(ctx, argv(t, "hang"), new(any)); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
}

func TestServer(t *testing.T) {
	var first struct {
		PeerID string `json:"peer_id"`
	}
	s, err := Start(t.Context(), argv(t, "serve"), &first)
	if err != nil {
		t.Fatal(err)
	}
	if first.PeerID != "me" {
		t.Errorf("first line %+v", first)
	}
	for _, line := range []string{"gc", "again"} {
		var answer struct{ Said string }
		if err := s.Ask(t.Context(), line, &answer); err != nil || answer.Said != line {
			t.Errorf("%s: %+v, %v", line, answer, err)
		}
	}
	u, err := s.Usage()
	if err != nil || u.RSS == 0 || u.Writes == 0 {
		t.Errorf("usage %+v, %v", u, err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestServerThatFails(t *testing.T) {
	for part, want := range map[string]string{"refused": "port in use", "silent": "out of paper", "babble": "hello"} {
		if _, err := Start(t.Context(), argv(t, part), new(struct{})); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", part, err, want)
		}
	}
	s, err := Start(t.Context(), argv(t, "serve badly"), new(any))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "lost the key") {
		t.Errorf("close: %v", err)
	}
	if err := s.Ask(t.Context(), "gc", new(any)); err == nil {
		t.Error("a peer that has ended answers")
	}
}

func TestTail(t *testing.T) {
	var kept tail
	if got := kept.after(": "); got != "" {
		t.Errorf("nothing: %q", got)
	}
	for range 1000 {
		fmt.Fprintln(&kept, "line")
	}
	fmt.Fprintln(&kept, "last")
	if got := kept.after(": "); len(got) > tailBytes+2 || !strings.HasSuffix(got, "line last") {
		t.Errorf("%d bytes: …%q", len(got), got[len(got)-20:])
	}
}
