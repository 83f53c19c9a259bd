// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/xnode-p2p/xnode/core/host"
)

// patience is how long something may take before the user is told what it is.
const patience = time.Second

// printJSON prints a value: a document of its own, or with compact a line.
func (c *cli) printJSON(value any, compact bool) error {
	e := json.NewEncoder(c.out)
	e.SetEscapeHTML(false)
	if !compact {
		e.SetIndent("", "  ")
	}
	return e.Encode(value)
}

// table prints rows of cells that are parted by tabs.
func (c *cli) table(print func(row func(format string, args ...any))) error {
	w := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	print(func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) })
	return w.Flush()
}

// sortedKeys lists the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// progress says on standard error what is going on, if it takes longer than a
// second. done must be called when it is over.
func (c *cli) progress(what string) (done func()) {
	t := time.AfterFunc(patience, func() { fmt.Fprintln(c.err, what, "…") })
	return sync.OnceFunc(func() { t.Stop() })
}

// mistakes is the error of a document.
type mistakes struct {
	// file is the document's name.
	file string
	list []*host.Mistake
}

// Error implements error.
func (m mistakes) Error() string { return fmt.Sprintf("%s: %d mistakes", m.file, len(m.list)) }

// lines names each mistake: FILE:LINE:COLUMN: POINTER: PROBLEM; REMEDY.
func (m mistakes) lines() []string {
	var lines []string
	for _, mistake := range m.list {
		line := escapeLines(m.file)
		if mistake.Line > 0 {
			line += fmt.Sprintf(":%d:%d", mistake.Line, mistake.Column)
		}
		pointer := mistake.Pointer
		if pointer == "" {
			pointer = "/"
		}
		line += ": " + pointer + ": " + mistake.Problem
		if mistake.Remedy != "" {
			line += "; " + mistake.Remedy
		}
		lines = append(lines, escapeLines(line))
	}
	return lines
}

// mistaken makes the error of a document of the errors of package host.
func mistaken(file string, err error) error {
	if err == nil {
		return nil
	}
	return mistakes{file, host.Mistakes(err)}
}
