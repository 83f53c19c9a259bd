// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package cache remembers what was in use lately.
package cache

import "sync"

// Limit is how many entries a [Cache] has at most.
const Limit = 1024

// Cache remembers values by their keys: the last Limit/2 that were put or asked
// for, and some before them. Any number of goroutines may use it. The zero Cache
// is empty; it must not be copied.
type Cache[K comparable, V any] struct {
	mu sync.Mutex
	// What is asked for moves from old to young. When young has half of what
	// is allowed it becomes old, and what was old is forgotten.
	young, old map[K]*V
}

// Get returns the value of key, or nil.
func (c *Cache[K, V]) Get(key K) *V {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.young[key]; v != nil {
		return v
	}
	v := c.old[key]
	if v != nil {
		c.keep(key, v)
	}
	return v
}

// Put remembers value, which may not be nil, instead of any other under key.
func (c *Cache[K, V]) Put(key K, value *V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(key, value)
}

// keep puts a value among the young. The caller holds the lock.
func (c *Cache[K, V]) keep(key K, value *V) {
	if c.young == nil || len(c.young) >= Limit/2 {
		c.old = c.young
		c.young = make(map[K]*V)
	}
	c.young[key] = value
}
