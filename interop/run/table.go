// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// maxReason is how much of a reason stands in its cell, in characters. The
// whole of it stands below the table.
const maxReason = 48

// print writes the matrix as a table.
func print(w io.Writer, rows []*row) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprint(t, "server\tclient\tstack")
	for _, op := range operations() {
		fmt.Fprintf(t, "\t%s", op.name)
	}
	fmt.Fprintln(t)
	var notes []string
	passed, failed, unable := 0, 0, 0
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s", r.Server, r.Client, r.Stack)
		for _, c := range r.Cells {
			mark, note := c.mark()
			fmt.Fprintf(t, "\t%s", mark)
			if note != "" {
				notes = append(notes, fmt.Sprintf("%s serves %s, %s, %s: %s", r.Server, r.Client, r.Stack, c.Operation, note))
			}
			switch {
			case c.failed():
				failed++
			case c.OK:
				passed++
			default:
				unable++
			}
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d passed, %d failed, %d that a peer cannot do\n%s", passed, failed, unable, lines(notes))
	return err
}

// mark returns what stands in a cell, and what there is to say below.
func (c cell) mark() (mark, note string) {
	switch {
	case c.OK && c.Known != "":
		return "✘ passes now", "passes, but is listed as impossible: " + c.Known
	case c.OK:
		return "✔", ""
	case c.Known != "":
		return "– cannot", fmt.Sprintf("%s (%s)", c.Known, c.Error)
	}
	return "✘ " + cut(c.Error), c.Error
}

func cut(s string) string {
	s = strings.Join(strings.Fields(s), " ") // a tab would begin another cell
	if utf8.RuneCountInString(s) <= maxReason {
		return s
	}
	return string([]rune(s)[:maxReason-1]) + "…"
}

func lines(list []string) string {
	var b strings.Builder
	for _, l := range list {
		b.WriteString("\n" + l + "\n")
	}
	return b.String()
}
