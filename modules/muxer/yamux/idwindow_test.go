// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"testing"

	"pgregory.net/rapid"
)

func TestIDWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w idWindow
		used := make(map[uint32]bool)
		odd := rapid.Uint32Range(0, 1).Draw(t, "odd")
		next := rapid.SampledFrom([]uint32{1, 1000, 1<<31 - 3000}).Draw(t, "start")
		var high uint32
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			if step := rapid.IntRange(-1100, 1100).Draw(t, "step"); int(next)+step > 0 && int(next)+step < 1<<31-1 {
				next = uint32(int(next) + step)
			}
			id := 2*next - odd
			// Old ones count as used.
			want := !used[id] && uint64(id)+2*idSpan > uint64(high)
			if got := !w.used(id); got != want && id <= high {
				t.Fatalf("used(%d) is %v", id, !got)
			}
			if got := w.take(id); got != want {
				t.Fatalf("take(%d) is %v, want %v; the highest is %d", id, got, want, high)
			}
			used[id] = true
			high = max(high, id)
			if !w.used(id) {
				t.Fatalf("%d was taken and is not used", id)
			}
		}
	})
}

func TestIDWindowEdges(t *testing.T) {
	var w idWindow
	for _, step := range []struct {
		id   uint32
		used bool
		take bool
	}{
		{1, false, true}, {1, true, false}, {3, false, true},
		{2*idSpan + 1, false, true}, {1, true, false}, {5, false, true},
		{0xFFFFFFFF, false, true}, {0xFFFFFFFF, true, false}, {5, true, false}, {0xFFFFFFFD, false, true},
	} {
		if got := w.used(step.id); got != step.used {
			t.Errorf("used(%d) is %v", step.id, got)
		}
		if got := w.take(step.id); got != step.take {
			t.Errorf("take(%d) is %v", step.id, got)
		}
	}
}
