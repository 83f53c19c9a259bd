// SPDX-License-Identifier: Apache-2.0 OR MIT

package memtable

import (
	"math/rand/v2"
	"time"
)

// node is an entry: a node of a treap, which is in the order of keys, and of a
// ring, which is in the order of writing. Who chooses keys does not know the
// priorities, so the tree stays shallow.
type node struct {
	key, value       string
	written, expires time.Time

	priority     uint64
	left, right  *node
	older, newer *node
}

func (n *node) size() int64 { return int64(len(n.key) + len(n.value)) }

func (n *node) expired(now time.Time) bool { return !n.expires.IsZero() && !now.Before(n.expires) }

// find returns the node of a key, or nil.
func (n *node) find(key string) *node {
	for n != nil && n.key != key {
		if key < n.key {
			n = n.left
		} else {
			n = n.right
		}
	}
	return n
}

// after returns the node with the first key that is greater than key, or
// that one's own if it may be equal; nil if there is none.
func (n *node) after(key string, orEqual bool) (found *node) {
	for n != nil {
		if n.key > key || orEqual && n.key == key {
			found, n = n, n.left
		} else {
			n = n.right
		}
	}
	return found
}

// insert puts a node, whose key is new, into a tree and returns the new root.
func (n *node) insert(fresh *node) *node {
	if n == nil {
		return fresh
	}
	if fresh.priority > n.priority {
		fresh.left, fresh.right = n.split(fresh.key)
		return fresh
	}
	if fresh.key < n.key {
		n.left = n.left.insert(fresh)
	} else {
		n.right = n.right.insert(fresh)
	}
	return n
}

// split cuts a tree in two: what is less than key, and what is greater.
func (n *node) split(key string) (less, greater *node) {
	if n == nil {
		return nil, nil
	}
	if n.key < key {
		n.right, greater = n.right.split(key)
		return n, greater
	}
	less, n.left = n.left.split(key)
	return less, n
}

// remove takes the node of a key, which is there, out of a tree and returns the
// new root.
func (n *node) remove(key string) *node {
	switch {
	case key < n.key:
		n.left = n.left.remove(key)
	case key > n.key:
		n.right = n.right.remove(key)
	default:
		return merge(n.left, n.right)
	}
	return n
}

// merge makes one tree of two; all keys of a are less than those of b.
func merge(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.priority > b.priority:
		a.right = merge(a.right, b)
		return a
	}
	b.left = merge(a, b.left)
	return b
}

// newNode returns a node that is in no tree.
func newNode(key, value string, written, expires time.Time) *node {
	return &node{key: key, value: value, written: written, expires: expires, priority: rand.Uint64()}
}

// ring is the entries in the order of writing. Its root has no entry.
type ring struct{ root node }

func (r *ring) init() { r.root.older, r.root.newer = &r.root, &r.root }

// oldest returns the node that was written longest ago; there must be one.
func (r *ring) oldest() *node { return r.root.newer }

func (r *ring) append(n *node) {
	n.older, n.newer = r.root.older, &r.root
	n.older.newer, n.newer.older = n, n
}

func (n *node) unlink() { n.older.newer, n.newer.older = n.newer, n.older }
