// SPDX-License-Identifier: Apache-2.0 OR MIT

package peerstore

import "container/heap"

// expiryHeap orders unconnected entries by the end of the address that expires
// first.
type expiryHeap []*entry

func (h *expiryHeap) add(e *entry)    { heap.Push(h, e) }
func (h *expiryHeap) remove(e *entry) { heap.Remove(h, e.place) }

// Len implements [heap.Interface].
func (h expiryHeap) Len() int { return len(h) }

// Less implements [heap.Interface].
func (h expiryHeap) Less(i, j int) bool { return h[i].soonest < h[j].soonest }

// Swap implements [heap.Interface].
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements [heap.Interface].
func (h *expiryHeap) Push(x any) {
	e := x.(*entry)
	e.place = len(*h)
	*h = append(*h, e)
}

// Pop implements [heap.Interface].
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.place = nowhere
	return e
}
