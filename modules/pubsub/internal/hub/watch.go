// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import "github.com/xnode-p2p/xnode/modules/pubsub/internal/mesh"

// maxWatched bounds the actions that wait for a watcher.
const maxWatched = 1024

// watcher follows what the router does.
type watcher struct{ queue chan mesh.Action }

// watch tells the watchers of an action. What they have no room for they miss.
func (h *Hub) watch(a mesh.Action) {
	for w := range h.watchers {
		select {
		case w.queue <- a:
		default:
		}
	}
}

func (h *Hub) endWatchers() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		close(w.queue)
		delete(h.watchers, w)
	}
}
