// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// print writes the matrix: a line a stack, a column an ordered pair of peers.
func print(w io.Writer, rows []*row) error {
	var stacks, pairs []string
	marks := map[[2]string]string{}
	add := func(list []string, s string) []string {
		if slices.Contains(list, s) {
			return list
		}
		return append(list, s)
	}
	for _, r := range rows {
		stack, pair := r.over(), r.Client+"→"+r.Server
		stacks, pairs = add(stacks, stack), add(pairs, pair)
		marks[[2]string{stack, pair}] = r.mark()
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintf(t, "dials→serves\t%s\n", strings.Join(pairs, "\t"))
	for _, s := range stacks {
		line := []string{s}
		for _, p := range pairs {
			line = append(line, marks[[2]string{s, p}])
		}
		fmt.Fprintln(t, strings.Join(line, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, summary(rows))
	return err
}

// mark returns what stands in the matrix for a row: ✔, or the operations that
// failed (✘) and those that the peer cannot do (–).
func (r *row) mark() string {
	var failed, unable []string
	for _, c := range r.Cells {
		switch {
		case c.failed():
			failed = append(failed, c.Operation)
		case !c.OK:
			unable = append(unable, c.Operation)
		}
	}
	switch {
	case len(failed)+len(unable) == 0:
		return "✔"
	case len(failed) == len(r.Cells):
		return "✘"
	case len(unable) == len(r.Cells):
		return "–"
	}
	var parts []string
	if len(failed) > 0 {
		parts = append(parts, "✘ "+strings.Join(failed, ","))
	}
	if len(unable) > 0 {
		parts = append(parts, "– "+strings.Join(unable, ","))
	}
	return strings.Join(parts, " ")
}

// summary counts the cells, and says why those that did not pass did not.
// Reasons that are the same for several cells are given once.
func summary(rows []*row) string {
	passed, failed, unable := 0, 0, 0
	var reasons []string
	cells := map[string][]string{} // of a reason
	for _, r := range rows {
		for _, c := range r.Cells {
			switch {
			case c.failed():
				failed++
			case c.OK:
				passed++
				continue
			default:
				unable++
			}
			why := c.why()
			if cells[why] == nil {
				reasons = append(reasons, why)
			}
			cells[why] = append(cells[why], fmt.Sprintf("%s dials %s, %s, %s", r.Client, r.Server, r.over(), c.Operation))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d rows: %d cells passed, %d failed, %d that a peer cannot do\n", len(rows), passed, failed, unable)
	for _, why := range reasons {
		fmt.Fprintf(&b, "\n%s\n  %s\n", strings.Join(cells[why], "\n"), why)
	}
	return b.String()
}

// why says why a cell did not pass, or did although it could not.
func (c cell) why() string {
	switch {
	case c.Known == "":
		return c.Error
	case c.OK:
		return "passes, but is listed as impossible: " + c.Known
	}
	return "cannot: " + c.Known
}
