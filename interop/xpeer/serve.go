// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bufio"
	"context"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// memory is the answer to a gc line, in bytes but for the goroutines.
type memory struct {
	HeapInuse  uint64 `json:"heap_inuse"`
	HeapAlloc  uint64 `json:"heap_alloc"`
	StackInuse uint64 `json:"stack_inuse"`
	Goroutines int    `json:"goroutines"`
}

// serve returns when stdin closes or ctx ends, and answers lines until then: gc,
// discovered, reach, dht with an operation, publish and messages.
// If ctx ends first, its reader stays blocked on stdin until the process ends.
func (in *invocation) serve(ctx context.Context, n *node, d *dht, t *talk) {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer cancel()
		for scan := bufio.NewScanner(in.stdin); scan.Scan(); {
			switch words := strings.Fields(scan.Text()); {
			case len(words) == 1 && words[0] == "gc":
				in.out.emit(collect())
			case len(words) == 1 && words[0] == "discovered" && n != nil:
				in.out.emit(n.discovered())
			case len(words) == 1 && words[0] == "reach" && n != nil:
				in.out.emit(n.reach())
			case len(words) > 1 && words[0] == "dht" && d != nil:
				in.out.emit(in.answer(ctx, d, words[1:]))
			case len(words) == 1 && words[0] == "messages" && t != nil:
				in.out.emit(t.messages())
			case len(words) > 1 && words[0] == "publish" && t != nil:
				in.out.emit(t.publish(ctx, strings.Join(words[1:], " ")))
			}
		}
	})
	<-ctx.Done()
}

// answer runs one operation of the DHT, within --timeout.
func (in *invocation) answer(ctx context.Context, d *dht, words []string) any {
	ctx, cancel := in.withTimeout(ctx)
	defer cancel()
	answer, err := d.do(ctx, words)
	if err != nil {
		return failure{Error: err.Error()}
	}
	return answer
}

// collect gives back to the system all that is not used and says what is left.
func collect() memory {
	runtime.GC()
	debug.FreeOSMemory() // collects again: what pools held in reserve goes too
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return memory{s.HeapInuse, s.HeapAlloc, s.StackInuse, runtime.NumGoroutine()}
}
