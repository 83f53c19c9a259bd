// SPDX-License-Identifier: Apache-2.0 OR MIT

package echo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func load(t *testing.T) core.Service {
	t.Helper()
	return coretest.MustLoad[core.Protocol](t, "echo", `{}`)
}

func TestLifecycle(t *testing.T) { coretest.TestLifecycle(t, load) }

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Protocol](t, "echo", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "unknown key", JSON: `{"loud": true}`, WantErr: `unknown field "loud"`},
		{Name: "not an object", JSON: `"echo"`, WantErr: "cannot unmarshal string"},
	})
}

func TestEcho(t *testing.T) {
	client, server := coretest.FakePair(t, load(t))
	for _, size := range []int{0, 1, 1000, 1 << 20} {
		data := bytes.Repeat([]byte("echo"), size)
		back, err := Echo(t.Context(), client, server.ID(), data)
		if err != nil || !bytes.Equal(back, data) {
			t.Errorf("%d bytes came back of %d: %v", len(back), len(data), err)
		}
	}
	for _, err := range server.HandlerErrors() {
		if err != nil {
			t.Errorf("handler: %v", err)
		}
	}
}

func TestEchoesAtOnceAndUntilTheEnd(t *testing.T) {
	client, server := coretest.FakePair(t, load(t))
	s, err := client.NewStream(t.Context(), server.ID(), ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"one", "two"} {
		io.WriteString(s, word)
		got := make([]byte, len(word))
		if _, err := io.ReadFull(s, got); err != nil || string(got) != word {
			t.Errorf("%q, %v; want %q", got, err, word)
		}
	}
	s.CloseWrite()
	if _, err := s.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the end: %v, want EOF", err)
	}
}

func TestResetReachesTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := coretest.FakePair(t, load(t))
		s, err := client.NewStream(t.Context(), server.ID(), ID)
		if err != nil {
			t.Fatal(err)
		}
		s.Reset(core.StreamNoError)
		synctest.Wait()
		if errs := server.HandlerErrors(); len(errs) != 1 || !errors.Is(errs[0], core.ErrReset) {
			t.Errorf("handler: %v, want ErrReset", errs)
		}
	})
}

// TestEvil_EchoOfAnother has servers that do not answer as they should.
func TestEvil_EchoOfAnother(t *testing.T) {
	for name, tc := range map[string]struct {
		serve    core.StreamHandler
		wantBack string
		wantErr  error
	}{
		"nothing comes back": {func(core.Stream) error { return nil }, "", nil},
		"too much comes back": {func(s core.Stream) error {
			_, err := s.Write(bytes.Repeat([]byte("x"), 1<<20))
			return err
		}, "xxxxxx", nil},
		"reset": {func(core.Stream) error { return errors.New("no") }, "", core.ErrReset},
		"silence": {func(core.Stream) error {
			time.Sleep(time.Hour)
			return nil
		}, "", context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := coretest.FakeNodes(t, 2)
				n[1].Handle(ID, tc.serve)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				back, err := Echo(ctx, n[0], n[1].ID(), []byte("hello"))
				if string(back) != tc.wantBack || !errors.Is(err, tc.wantErr) {
					t.Errorf("%q, %v; want %q, %v", back, err, tc.wantBack, tc.wantErr)
				}
			})
		})
	}
}

func TestNobodyEchoes(t *testing.T) {
	n := coretest.FakeNodes(t, 2)
	_, err := Echo(t.Context(), n[0], n[1].ID(), nil)
	if _, ok := errors.AsType[*core.ProtocolError](err); !ok {
		t.Errorf("%v, want a ProtocolError", err)
	}
}
