// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// table writes who sees whom, a table for each network, and the other checks.
func table(w io.Writer, checks []check) error {
	var networks []string
	for _, c := range checks {
		if !slices.Contains(networks, c.Network) {
			networks = append(networks, c.Network)
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, n := range networks {
		var kinds []string
		marks := map[[2]string]string{}
		for _, c := range checks {
			if c.Network == n && c.Seer != "" {
				if !slices.Contains(kinds, c.Seer) {
					kinds = append(kinds, c.Seer)
				}
				marks[[2]string{c.Seer, c.Seen}] = c.mark()
			}
		}
		fmt.Fprintf(t, "%s: sees→\t%s\n", n, strings.Join(kinds, "\t"))
		for _, seer := range kinds {
			line := []string{seer}
			for _, seen := range kinds {
				line = append(line, marks[[2]string{seer, seen}])
			}
			fmt.Fprintln(t, strings.Join(line, "\t"))
		}
		for _, c := range checks {
			if c.Network == n && c.Seer == "" {
				fmt.Fprintf(t, "%s %s\n", c.mark(), c.What)
			}
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, summary(checks))
	return err
}

// mark is ✔ with the seconds that it took, ✘, or – for what cannot be.
func (c check) mark() string {
	switch {
	case c.failed():
		return "✘"
	case !c.OK:
		return "–"
	}
	return fmt.Sprintf("✔ %.1fs", c.Seconds)
}

// summary counts, and says why what is not so is not so.
func summary(checks []check) string {
	passed, failed, unable := 0, 0, 0
	var b strings.Builder
	for _, c := range checks {
		what := c.What
		if c.Seer != "" {
			what = c.Seer + " sees " + c.Seen
		}
		switch {
		case c.failed() && c.OK:
			failed++
			fmt.Fprintf(&b, "\n%s, %s: is so, but is listed as impossible: %s\n", c.Network, what, c.Known)
		case c.failed():
			failed++
			fmt.Fprintf(&b, "\n%s, %s: not within %.0f s: %s\n", c.Network, what, c.Seconds, c.Error)
		case !c.OK:
			unable++
			fmt.Fprintf(&b, "\n%s, %s: cannot: %s\n", c.Network, what, c.Known)
		default:
			passed++
		}
	}
	return fmt.Sprintf("%d passed, %d failed, %d that a peer cannot do\n", passed, failed, unable) + b.String()
}
