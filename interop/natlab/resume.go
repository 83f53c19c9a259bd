// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// keeping is held by who adds to the file of --resume.
var keeping sync.Mutex

// keep adds a cell to the file of what was tried, unless that was broken off. It
// returns what there is to say about it.
func (o *options) keep(ctx context.Context, c *cell) (remark string) {
	if o.resume == "" || ctx.Err() != nil {
		return ""
	}
	line, err := json.Marshal(c)
	if err == nil {
		keeping.Lock()
		defer keeping.Unlock()
		var f *os.File
		if f, err = os.OpenFile(o.resume, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err == nil {
			_, err = f.Write(append(line, '\n'))
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		return fmt.Sprintf("; not kept: %v", err)
	}
	return ""
}

// restore fills the cells that were tried as often as it is asked for.
func (o *options) restore(cells []*cell) error {
	if o.resume == "" {
		return nil
	}
	f, err := os.Open(o.resume)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for d := json.NewDecoder(f); ; {
		var kept cell
		if err := d.Decode(&kept); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("--resume %s: %w", o.resume, err)
		}
		for _, c := range cells {
			if c.String() == kept.String() && kept.Runs == o.runs {
				kept.peers, kept.dials, kept.has, kept.shape = c.peers, c.dials, c.has, c.shape
				*c = kept
			}
		}
	}
}
