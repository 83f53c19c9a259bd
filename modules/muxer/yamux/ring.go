// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

// maxLingering is how many streams are remembered that ended here and for which
// the remote may still send.
const maxLingering = 256

// ring holds the last maxLingering stream IDs.
type ring struct {
	ids  []uint32 // at most maxLingering
	next int      // where the oldest is once the ring is full
}

// push adds an ID. A full ring gives up its oldest one for that.
func (r *ring) push(id uint32) (oldest uint32, full bool) {
	if len(r.ids) < maxLingering {
		r.ids = append(r.ids, id)
		return 0, false
	}
	oldest, r.ids[r.next] = r.ids[r.next], id
	r.next = (r.next + 1) % maxLingering
	return oldest, true
}
