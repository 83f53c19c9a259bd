// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// outcome is what came of everything, as drive.js tells it.
type outcome struct {
	Browser string `json:"browser"` // its version
	Loads   []load `json:"loads"`
	// Left is the node after the tab was closed.
	Left look `json:"left"`
}

// load is one load of the page. Its connections are open when Node is looked at.
type load struct {
	Cases []result `json:"cases"`
	Error string   `json:"error"`
	Node  look     `json:"node"`
}

// result is what came of a case; times are in milliseconds.
type result struct {
	testCase
	OK       bool      `json:"ok"`
	Error    string    `json:"error"`
	Peer     string    `json:"peer"` // the browser's peer ID
	Dial     float64   `json:"dial_ms"`
	Pings    []float64 `json:"ping_ms"`
	Echo     float64   `json:"echo_ms"`
	Back     []float64 `json:"back_ms"`
	Agent    string    `json:"agent"`
	Observed string    `json:"observed"`
}

// check returns all that is not as it should be.
func (o *outcome) check(cases []testCase, agent string) error {
	var errs []error
	if len(o.Loads) != pageLoads {
		errs = append(errs, fmt.Errorf("%d loads, want %d", len(o.Loads), pageLoads))
	}
	for i, l := range o.Loads {
		for _, err := range l.check(cases, agent) {
			errs = append(errs, fmt.Errorf("load %d: %w", i+1, err))
		}
	}
	if o.Left.Error != "" {
		errs = append(errs, fmt.Errorf("the node, tab closed: %s", oneLine(o.Left.Error)))
	}
	return errors.Join(errs...)
}

func (l *load) check(cases []testCase, agent string) (errs []error) {
	if l.Error != "" {
		errs = append(errs, errors.New(l.Error))
	}
	if l.Node.Error != "" {
		errs = append(errs, fmt.Errorf("the node: %s", oneLine(l.Node.Error)))
	}
	for _, want := range cases {
		at := slices.IndexFunc(l.Cases, func(r result) bool { return r.testCase == want })
		if at < 0 {
			errs = append(errs, fmt.Errorf("%s: it did not run", want.Name))
			continue
		}
		if err := l.Cases[at].check(l.Node.Conns, agent); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", want.Name, err))
		}
	}
	return errs
}

// check compares what the browser saw of a case with what the node saw.
func (r *result) check(conns []conn, agent string) error {
	switch {
	case !r.OK:
		return errors.New(r.Error)
	case r.Refused, r.STUN:
		return nil
	case r.Agent != agent:
		return fmt.Errorf("the agent is %q, want %q", r.Agent, agent)
	}
	at := slices.IndexFunc(conns, func(c conn) bool { return c.Peer == r.Peer })
	if at < 0 {
		return fmt.Errorf("the node has no connection with %s", r.Peer)
	}
	if got := conns[at].Transport; got != r.Transport {
		return fmt.Errorf("the node has it over %s, want %s", got, r.Transport)
	}
	return nil
}

// print writes an outcome as a table, and what there is to say below.
func print(w io.Writer, o *outcome) error {
	fmt.Fprintf(w, "Chromium %s; times in ms\n\n", o.Browser)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "load\tcase\tresult\tdial\tpings\techo 1 MiB\tpings by xnode")
	var notes []string
	for i, l := range o.Loads {
		for _, r := range l.Cases {
			mark, note := r.mark()
			fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n",
				i+1, r.Name, mark, times(r.Dial), times(r.Pings...), times(r.Echo), times(r.Back...))
			if note != "" {
				notes = append(notes, fmt.Sprintf("load %d, %s: %s", i+1, r.Name, note))
			}
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i, l := range o.Loads {
		notes = append(notes, l.Node.lines(fmt.Sprintf("load %d", i+1))...)
	}
	notes = append(notes, o.Left.lines("tab closed")...)
	_, err := fmt.Fprintf(w, "\n%s\n", strings.Join(notes, "\n"))
	return err
}

// lines tells of a look at the node.
func (l *look) lines(when string) []string {
	if l.Error != "" {
		return []string{fmt.Sprintf("%s: the node: ✘ %s", when, oneLine(l.Error))}
	}
	waited := ""
	if len(l.Waited) > 0 {
		waited = fmt.Sprintf(" (before: %s)", strings.Join(l.Waited, ", "))
	}
	lines := []string{fmt.Sprintf("%s: the node has %d connections after %.1f s%s; it serves others: tcp %.1f ms, quic %.1f ms",
		when, len(l.Conns), l.Seconds, waited, l.Others["tcp"], l.Others["quic"])}
	for _, c := range l.Conns {
		lines = append(lines, fmt.Sprintf("   %s from %s: %s", c.Transport, c.Addr, oneLine(c.Agent)))
	}
	return lines
}

// mark returns what stands in the table, and what there is to say below.
func (r *result) mark() (mark, note string) {
	switch {
	case !r.OK:
		return "✘", oneLine(r.Error)
	case r.Refused:
		return "✔ refused", oneLine(r.Error)
	}
	return "✔", ""
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// times shows times that were taken: of none there is nothing to show.
func times(list ...float64) string {
	var texts []string
	for _, t := range list {
		if t != 0 {
			texts = append(texts, fmt.Sprintf("%.1f", t))
		}
	}
	return strings.Join(texts, ", ")
}
