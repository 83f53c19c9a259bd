// SPDX-License-Identifier: Apache-2.0 OR MIT

package host_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
)

// sink is a log writer that keeps what is written to its name in memory.
type sink struct {
	Name string `json:"name"`
}

// sinks are the lines of all sinks.
var sinks = struct {
	sync.Mutex
	lines map[string]*bytes.Buffer
}{lines: make(map[string]*bytes.Buffer)}

func init() { caddy.RegisterModule(new(sink)) }

func (*sink) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.sink", New: func() caddy.Module { return new(sink) }}
}

func (s *sink) String() string                      { return "sink " + s.Name }
func (s *sink) WriterKey() string                   { return s.String() }
func (s *sink) OpenWriter() (io.WriteCloser, error) { return s, nil }
func (*sink) Close() error                          { return nil }

func (s *sink) Write(b []byte) (int, error) {
	sinks.Lock()
	defer sinks.Unlock()
	if sinks.lines[s.Name] == nil {
		sinks.lines[s.Name] = new(bytes.Buffer)
	}
	return sinks.lines[s.Name].Write(b)
}

// logged lists who logged a message to a sink, and at which level, since the
// last call.
func logged(t *testing.T, name, message string) string {
	t.Helper()
	sinks.Lock()
	defer sinks.Unlock()
	buffer := sinks.lines[name]
	if buffer == nil {
		return ""
	}
	var list []string
	for line := range bytes.Lines(buffer.Bytes()) {
		var e struct{ Level, Logger, Msg string }
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if e.Msg == message {
			list = append(list, e.Level+" "+e.Logger)
		}
	}
	buffer.Reset()
	return strings.Join(list, ", ")
}

func TestLogsFollowTheConfiguration(t *testing.T) {
	begin(t)
	config := func(top, sink, level, protocols string) []byte {
		text := string(configuration(top, `"seed": 1`, protocols))
		return []byte(strings.Replace(text, `"level": "ERROR", "writer": {"output": "discard"}`,
			fmt.Sprintf(`"level": %q, "writer": {"output": "sink", "name": %q}`, level, sink), 1))
	}
	const protocols = `"counted": {"parts": [{"module": "piece"}]}`
	h := load(t, config("", "a", "ERROR", protocols))
	m, _ := core.Find[*counted](h)
	derived := m.log.With("k", "v").WithGroup("g")
	defer core.On(h, func(e core.PeerProtocolsChanged) { panic("for the log") })()
	// speak makes the host log an error and the module something at every level.
	speak := func() {
		h.Emit(core.PeerProtocolsChanged{})
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelError} {
			derived.Log(t.Context(), level, "panic in an event subscriber")
		}
		m.piece.log.Error("panic in an event subscriber")
	}
	const name = "xnode.protocol.counted"
	const spoken = "error xnode, error " + name + ", error " + name + ".parts.piece"
	expect := func(step, sink, want string) {
		t.Helper()
		speak()
		if got := logged(t, sink, "panic in an event subscriber"); got != want {
			t.Errorf("%s: got %q, want %q", step, got, want)
		}
		for _, other := range []string{"a", "b", "c"} {
			if other != sink && logged(t, other, "panic in an event subscriber") != "" {
				t.Errorf("%s: sink %s got something", step, other)
			}
		}
	}
	expect("start", "a", spoken)
	load(t, config("", "b", "ERROR", protocols))
	expect("other output", "b", spoken)
	load(t, config("", "b", "DEBUG", protocols))
	expect("lower level", "b", "error xnode, debug "+name+", info "+name+", error "+name+", error "+name+".parts.piece")
	load(t, config("", "b", "PANIC", protocols))
	expect("higher level", "b", "")
	load(t, config("", "b", "ERROR", protocols))
	expect("level as before", "b", spoken)
	for _, failing := range []struct{ step, top, protocols string }{
		{"unknown module", "", protocols + `, "nothing": {}`},
		{"start", "", protocols + `, "tally": {"fail": "start"}`},
		{"after the start", `, "remote": {}`, protocols},
	} {
		if err := caddy.Load(config(failing.top, "c", "DEBUG", failing.protocols), true); err == nil {
			t.Fatalf("%s: no error", failing.step)
		}
		logged(t, "c", "")
		expect("after a reload that failed: "+failing.step, "b", spoken)
	}
	if again, _ := host.Running(); again != h {
		t.Error("another host")
	}
	if n, _ := core.Find[*counted](h); n != m {
		t.Error("the module was not carried")
	}
}
