// SPDX-License-Identifier: Apache-2.0 OR MIT

package core_test

import (
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/xnode-p2p/xnode/core"
)

// thing counts how many of its kind are open.
type thing struct {
	mu   *sync.Mutex
	open *int
}

func (t *thing) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	*t.open--
	return errClosing
}

var errClosing = errors.New("closing")

type shareKey int

func TestShare(t *testing.T) {
	var table core.ShareTable
	var mu sync.Mutex
	open := 0
	opener := func() (*thing, error) {
		mu.Lock()
		defer mu.Unlock()
		open++
		if open > 1 {
			t.Error("two are open at once")
		}
		return &thing{&mu, &open}, nil
	}
	one, release, err := core.Share(&table, shareKey(1), opener)
	if err != nil {
		t.Fatal(err)
	}
	two, release2, err := core.Share(&table, shareKey(1), opener)
	if err != nil || one != two {
		t.Fatalf("%p and %p, %v", one, two, err)
	}
	if err := release(); err != nil || open != 1 {
		t.Errorf("the first release: %v, %d open", err, open)
	}
	if err := release(); err != nil || open != 1 {
		t.Errorf("the same release again: %v, %d open", err, open)
	}
	if err := release2(); err != errClosing || open != 0 {
		t.Errorf("the last release: %v, %d open", err, open)
	}
	refused := errors.New("refused")
	if _, _, err := core.Share(&table, shareKey(1), func() (io.Closer, error) { return nil, refused }); err != refused {
		t.Errorf("got %v", err)
	}

	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if _, release, err := core.Share(&table, shareKey(1), opener); err != nil {
					t.Error(err)
				} else if err := release(); err != nil && err != errClosing {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if open != 0 {
		t.Errorf("%d are open", open)
	}
}
