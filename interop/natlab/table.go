// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// print writes what came of it as tables, and below them what went wrong.
func (r *report) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(r.Punch) > 0 {
		fmt.Fprintln(w, "routers\ttransport\tlink\tpeer\tdirect\trelayed\tthrough the relay ms\tdirect: median ms\tp95 ms\t")
	}
	var errs []string
	for _, c := range r.Punch {
		direct := fmt.Sprintf("%d/%d", c.Direct, c.Runs)
		if !c.Possible {
			direct += ", none can be"
		}
		median, p95 := "", ""
		if c.Direct > 0 {
			median, p95 = fmt.Sprintf("%.0f", c.Median), fmt.Sprintf("%.0f", c.P95)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%.0f\t%s\t%s\t%s\n",
			c.Routers, c.Transport, c.Link, c.Peer, direct, c.Relayed, c.Through, median, p95, mark(c.OK))
		for _, text := range c.Errors {
			errs = append(errs, fmt.Sprintf("%s: %s", c, text))
		}
	}
	if len(r.Recover) > 0 {
		fmt.Fprintln(w, "\ndisturbance\trouter\ttransport\tconnected again after s\tconnection\t")
	}
	for _, c := range r.Recover {
		which := "another"
		if c.Same {
			which = "the same"
		}
		if c.Error != "" {
			which = ""
			errs = append(errs, fmt.Sprintf("%s: %s", c, c.Error))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1f\t%s\t%s\n", c.Disturbance, c.Router, c.Transport, c.After, which, mark(c.OK))
	}
	if len(r.Reach) > 0 {
		fmt.Fprintln(w, "\nrouter\tand\tasked by\tthe node is\tit says\tafter s\tmapped\t")
	}
	for _, c := range r.Reach {
		if c.Error != "" {
			errs = append(errs, fmt.Sprintf("%s: %s", c, c.Error))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.1f\t%d\t%s\n", c.Router, c.Behind, c.Method, c.Want, c.Got, c.After, len(c.Mapped), mark(c.OK))
	}
	if len(r.Relays) > 0 {
		fmt.Fprintln(w, "\nrouter\tplaces at relays after s\tat others after s\t")
	}
	for _, c := range r.Relays {
		if c.Error != "" {
			errs = append(errs, fmt.Sprintf("%s: %s", c, c.Error))
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%s\n", c.Router, c.Found, c.Again, mark(c.OK))
	}
	if len(r.WebRTC) > 0 {
		fmt.Fprintln(w, "\nwebrtc, routers\tservers\tconnection\tafter s\tanswers after a cut of 5 s, s\tclosed after the cut, s\tagain after s\t")
	}
	for _, c := range r.WebRTC {
		if c.Error != "" {
			errs = append(errs, fmt.Sprintf("%s: %s", c, c.Error))
		}
		cut := "\t\t"
		if c.Cut {
			cut = fmt.Sprintf("%.1f\t%.1f\t%.1f", c.Survived, c.Closed, c.Again)
		}
		fmt.Fprintf(w, "%s-%s\t%s\t%s\t%.1f\t%s\t%s\n", c.Dialer, c.Dialled, c.Servers, c.Got, c.After, cut, mark(c.OK))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, text := range errs {
		if _, err := fmt.Fprintf(out, "\n%s\n", text); err != nil {
			return err
		}
	}
	return nil
}

func mark(ok bool) string {
	if ok {
		return ""
	}
	return "✘"
}
