// SPDX-License-Identifier: Apache-2.0 OR MIT

package cache

import (
	"sync"
	"testing"
)

// Who is back now and then is not pushed out by those who come once.
func TestCacheIsBounded(t *testing.T) {
	var c Cache[int, int]
	dear := 7
	c.Put(-1, &dear)
	for i := range 10 * Limit {
		c.Put(i, &i)
		if i%100 == 0 && c.Get(-1) != &dear {
			t.Fatal("forgot what was asked for 100 entries ago")
		}
		if n := len(c.young) + len(c.old); n > Limit {
			t.Fatalf("%d entries, limit %d", n, Limit)
		}
	}
}

func TestLatestStay(t *testing.T) {
	var c Cache[int, int]
	const all = 5*Limit + Limit/3
	for i := range all {
		c.Put(i, &i)
	}
	for i := all - 1; i >= 0; i-- {
		v := c.Get(i)
		if v != nil && *v != i {
			t.Fatalf("%d under %d", *v, i)
		}
		if v == nil && i >= all-Limit/2 || v != nil && i < all-Limit {
			t.Errorf("%d of %d: remembered %v", i, all, v != nil)
		}
	}
}

func TestCache(t *testing.T) {
	var c Cache[string, int]
	if c.Get("a") != nil {
		t.Error("an empty cache has something")
	}
	one, two := 1, 2
	c.Put("a", &one)
	if c.Get("a") != &one || c.Get("b") != nil {
		t.Error("not what was put")
	}
	if c.Put("a", &two); c.Get("a") != &two {
		t.Error("not what was put last")
	}
}

func TestManyAtOnce(t *testing.T) {
	var c Cache[int, int]
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range Limit {
				if v := c.Get(i); v != nil && *v != i {
					t.Errorf("%d under %d", *v, i)
				}
				c.Put(i, &i)
			}
		})
	}
	wg.Wait()
}
