// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// table is which figures a case has.
type table int

const (
	ofTime table = iota // processor time and system calls
	ofMemory
	ofTrips
	ofFigure // the unit's alone
)

// outcome is what one case found.
type outcome struct {
	Case    string `json:"case"`
	Unit    string `json:"unit"`
	CallsOf string `json:"calls_of,omitempty"`
	// Bar is the most that the ratio of the second figure is to be; 0 for no
	// bar. Missed says that it is more.
	Bar    float64 `json:"bar,omitempty"`
	Missed bool    `json:"missed,omitempty"`
	// Most is what the first server's figure is to be at most; 0 for no bar.
	Most    float64  `json:"most,omitempty"`
	Figures []figure `json:"figures"`
	table   table
}

// figure is what a case found for one contender: medians.
type figure struct {
	Contender string  `json:"contender"`
	Server    float64 `json:"server"`
	Client    float64 `json:"client"`
	Both      float64 `json:"both"`
	// Reads and Writes are the server's system calls for one operation.
	Reads  float64 `json:"reads"`
	Writes float64 `json:"writes"`
	// Heap, Stack and Goroutines are the server's, for one idle connection.
	Heap       float64 `json:"heap,omitempty"`
	Stack      float64 `json:"stack,omitempty"`
	Goroutines float64 `json:"goroutines,omitempty"`
	// Trips are the round trips of one operation.
	Trips float64 `json:"trips,omitempty"`
	// Ratio is what the first contender took, for both sides, as a multiple
	// of what this one did; of round trips if those are counted.
	Ratio float64 `json:"ratio"`
}

func (s sample) both() float64 { return s.server + s.client }

// compared is what of a sample counts in ratios.
func (t table) compared(s sample) float64 {
	if t == ofTrips {
		return s.trips
	}
	return s.both()
}

func (c *benchCase) outcome() outcome {
	o := outcome{Case: c.name, Unit: c.unit, CallsOf: c.callsOf, Bar: c.bar, Most: c.most, table: c.table}
	first := c.samples[c.contenders[0].name]
	for _, k := range c.contenders {
		samples := c.samples[k.name]
		of := func(scale float64, part func(sample) float64) float64 {
			return scale * median(len(samples), func(i int) float64 { return part(samples[i]) })
		}
		o.Figures = append(o.Figures, figure{
			Contender:  k.name,
			Server:     of(c.per, func(s sample) float64 { return s.server }),
			Client:     of(c.per, func(s sample) float64 { return s.client }),
			Both:       of(c.per, sample.both),
			Reads:      of(c.calls, func(s sample) float64 { return s.reads }),
			Writes:     of(c.calls, func(s sample) float64 { return s.writes }),
			Heap:       of(c.per, func(s sample) float64 { return s.heap }),
			Stack:      of(c.per, func(s sample) float64 { return s.stack }),
			Goroutines: of(c.calls, func(s sample) float64 { return s.goroutines }),
			Trips:      of(1, func(s sample) float64 { return s.trips }),
			Ratio: median(len(samples), func(i int) float64 {
				if c.table.compared(samples[i]) == 0 {
					return 0
				}
				return c.table.compared(first[i]) / c.table.compared(samples[i])
			}),
		})
	}
	o.Missed = o.Bar > 0 && hundredths(o.Figures[1].Ratio) > hundredths(o.Bar) || o.Most > 0 && o.Figures[0].Server > o.Most
	return o
}

// hundredths is what is printed of a ratio, and so what is held against a bar.
func hundredths(ratio float64) float64 { return math.Round(100 * ratio) }

// verdict says how a case stands to its bar.
func (o outcome) verdict() string {
	switch {
	case o.Most > 0 && o.Missed:
		return fmt.Sprintf("; MISSED: %.1f, at most %.0f wanted", o.Figures[0].Server, o.Most)
	case o.Most > 0:
		return fmt.Sprintf("; %.1f, at most %.0f wanted", o.Figures[0].Server, o.Most)
	case o.Bar == 0:
		return ""
	case o.Missed:
		return fmt.Sprintf("; MISSED: %.2f of %s, at most %.2f wanted", o.Figures[1].Ratio, o.Figures[1].Contender, o.Bar)
	}
	return fmt.Sprintf("; %.2f of %s, at most %.2f wanted", o.Figures[1].Ratio, o.Figures[1].Contender, o.Bar)
}

// median returns the middle of n values, the mean of the two for an even n.
func median(n int, value func(int) float64) float64 {
	if n == 0 {
		return 0
	}
	values := make([]float64, n)
	for i := range values {
		values[i] = value(i)
	}
	slices.Sort(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// print writes the figures as tables, and the names of the cases that miss
// their bar behind them.
func (r report) print(w io.Writer) error {
	fmt.Fprintf(w, "%s, %d processors, %d repetitions, medians; other processes took %.0f %% of the processors\n",
		r.Go, r.CPUs, r.Reps, 100*r.Others)
	var missed []string
	for _, o := range r.Cases {
		fmt.Fprintf(w, "\n%s: %s%s\n", o.Case, o.Unit, o.verdict())
		if err := o.print(w); err != nil {
			return err
		}
		if o.Missed {
			missed = append(missed, o.Case)
		}
	}
	if len(missed) > 0 {
		fmt.Fprintf(w, "\nMISSED: %s\n", strings.Join(missed, "; "))
	}
	return nil
}

func (o outcome) print(w io.Writer) error {
	first := o.Figures[0].Contender
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	switch o.table {
	case ofMemory:
		fmt.Fprintf(t, "\tresident\theap\tstacks\tgoroutines\t%s / this\t\n", first)
	case ofTrips:
		fmt.Fprintf(t, "\tround trips\t%s / this\t\n", first)
	case ofFigure:
		fmt.Fprintf(t, "\tfigure\t%s / this\t\n", first)
	default:
		fmt.Fprintf(t, "\tserver\tclient\tboth\tserver's reads\twrites per %s\t%s / this\t\n", o.CallsOf, first)
	}
	for _, f := range o.Figures {
		switch o.table {
		case ofMemory:
			fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t\n", f.Contender, f.Server, f.Heap, f.Stack, f.Goroutines, f.Ratio)
		case ofTrips:
			fmt.Fprintf(t, "%s\t%.1f\t%.2f\t\n", f.Contender, f.Trips, f.Ratio)
		case ofFigure:
			fmt.Fprintf(t, "%s\t%s\t%.2f\t\n", f.Contender, short(f.Server), f.Ratio)
		default:
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.2f\t%.2f\t%.2f\t\n",
				f.Contender, short(f.Server), short(f.Client), short(f.Both), f.Reads, f.Writes, f.Ratio)
		}
	}
	return t.Flush()
}

// short writes a number with three digits that count.
func short(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
