// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bufio"
	"context"
	"runtime"
	"runtime/debug"
	"strings"
)

// memory is the answer to a gc line, in bytes but for the goroutines.
type memory struct {
	HeapInuse  uint64 `json:"heap_inuse"`
	HeapAlloc  uint64 `json:"heap_alloc"`
	StackInuse uint64 `json:"stack_inuse"`
	Goroutines int    `json:"goroutines"`
}

// serve returns when stdin closes or ctx ends, and answers lines until then: gc, dht with an operation, publish, messages,
// discovered and reach. When ctx ends first its reader stays blocked on stdin: nothing but the end of the process takes it away from there.
func (in *invocation) serve(ctx context.Context, k *kad, t *talk, l *lan, w *reachWatch) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		for scan := bufio.NewScanner(in.stdin); scan.Scan(); {
			switch words := strings.Fields(scan.Text()); {
			case len(words) == 1 && words[0] == "gc":
				in.out.emit(collect())
			case len(words) > 1 && words[0] == "dht" && k != nil:
				in.out.emit(in.answer(ctx, k, words[1:]))
			case len(words) == 1 && words[0] == "messages" && t != nil:
				in.out.emit(t.messages())
			case len(words) == 1 && words[0] == "discovered" && l != nil:
				in.out.emit(l.discovered())
			case len(words) == 1 && words[0] == "reach" && w != nil:
				in.out.emit(w.reach())
			case len(words) > 1 && words[0] == "publish" && t != nil:
				in.out.emit(t.publish(ctx, strings.Join(words[1:], " ")))
			}
		}
	}()
	<-ctx.Done()
}

// answer runs one operation of the DHT, within --timeout.
func (in *invocation) answer(ctx context.Context, k *kad, words []string) any {
	ctx, cancel := in.withTimeout(ctx)
	defer cancel()
	answer, err := k.do(ctx, words)
	if err != nil {
		return failure{Error: err.Error()}
	}
	return answer
}

// collect gives back to the system all that is not used and says what is left.
func collect() memory {
	runtime.GC()
	debug.FreeOSMemory() // a second collection: what pools held in reserve goes too
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return memory{HeapInuse: s.HeapInuse, HeapAlloc: s.HeapAlloc, StackInuse: s.StackInuse, Goroutines: runtime.NumGoroutine()}
}
