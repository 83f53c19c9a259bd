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
		errs = append(errs, fmt.Errorf("the node, tab closed: %s", strings.TrimSpace(o.Left.Error)))
	}
	return errors.Join(errs...)
}

func (l *load) check(cases []testCase, agent string) (errs []error) {
	if l.Error != "" {
		errs = append(errs, errors.New(l.Error))
	}
	if l.Node.Error != "" {
		errs = append(errs, fmt.Errorf("the node: %s", strings.TrimSpace(l.Node.Error)))
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
	case r.Refused:
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

// print writes an outcome as tables.
func print(w io.Writer, o *outcome) error {
	fmt.Fprintf(w, "Chromium %s; times in ms\n\n", o.Browser)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "load\tcase\tresult\tdial\tpings\techo 1 MiB\tpings by xnode")
	for i, l := range o.Loads {
		for _, r := range l.Cases {
			if r.Refused || !r.OK {
				fmt.Fprintf(t, "%d\t%s\t%s\n", i+1, r.Name, r.verdict())
				continue
			}
			fmt.Fprintf(t, "%d\t%s\t%s\t%.1f\t%s\t%.1f\t%s\n", i+1, r.Name, r.verdict(), r.Dial, times(r.Pings), r.Echo, times(r.Back))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for i, l := range o.Loads {
		l.Node.print(w, fmt.Sprintf("load %d", i+1))
	}
	o.Left.print(w, "tab closed")
	return nil
}

// print tells of a look at the node.
func (l *look) print(w io.Writer, when string) {
	if l.Error != "" {
		fmt.Fprintf(w, "%s: the node: ✘ %s\n", when, strings.TrimSpace(l.Error))
		return
	}
	waited := ""
	if len(l.Waited) > 0 {
		waited = fmt.Sprintf(" (%s until then)", strings.Join(l.Waited, ", "))
	}
	fmt.Fprintf(w, "%s: the node has %d connections, after %.1f s%s; others are served: tcp %.1f, quic %.1f\n",
		when, len(l.Conns), l.Seconds, waited, l.Others["tcp"], l.Others["quic"])
	for _, c := range l.Conns {
		fmt.Fprintf(w, "   %s from %s, %s\n", c.Transport, c.Addr, c.Agent)
	}
}

// maxReason is how much of a reason stands in the table, in bytes.
const maxReason = 70

func (r *result) verdict() string {
	switch {
	case r.OK && !r.Refused:
		return "✔"
	case r.OK:
		return "✔ refused: " + cut(r.Error)
	}
	return "✘ " + cut(r.Error)
}

func cut(s string) string {
	s = strings.Join(strings.Fields(s), " ") // a tab would begin another cell
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "…"
	}
	return s
}

func times(list []float64) string {
	texts := make([]string, len(list))
	for i, t := range list {
		texts[i] = fmt.Sprintf("%.1f", t)
	}
	return strings.Join(texts, ", ")
}
