// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// outcome is what one case found.
type outcome struct {
	Case    string   `json:"case"`
	Unit    string   `json:"unit"`
	CallsOf string   `json:"calls_of"`
	Figures []figure `json:"figures"`
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
	// Ratio is what the first contender took, for both sides, as a multiple
	// of what this one did.
	Ratio float64 `json:"ratio"`
}

func (s sample) both() float64 { return s.server + s.client }

func (c *benchCase) outcome() outcome {
	o := outcome{Case: c.name, Unit: c.unit, CallsOf: c.callsOf}
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
			Ratio: median(len(samples), func(i int) float64 {
				if samples[i].both() == 0 {
					return 0
				}
				return first[i].both() / samples[i].both()
			}),
		})
	}
	return o
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

// print writes the figures as tables.
func (r report) print(w io.Writer) error {
	fmt.Fprintf(w, "%s, %d processors, %d repetitions, medians; other processes took %.0f %% of the processors\n",
		r.Go, r.CPUs, r.Reps, 100*r.Others)
	for _, o := range r.Cases {
		memory := o.Figures[0].Goroutines != 0
		first := o.Figures[0].Contender
		fmt.Fprintf(w, "\n%s: %s\n", o.Case, o.Unit)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		if memory {
			fmt.Fprintf(t, "\tresident\theap\tstacks\tgoroutines\t%s / this\t\n", first)
		} else {
			fmt.Fprintf(t, "\tserver\tclient\tboth\tserver's reads\twrites per %s\t%s / this\t\n", o.CallsOf, first)
		}
		for _, f := range o.Figures {
			if memory {
				fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t\n", f.Contender, f.Server, f.Heap, f.Stack, f.Goroutines, f.Ratio)
			} else {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.2f\t%.2f\t%.2f\t\n",
					f.Contender, short(f.Server), short(f.Client), short(f.Both), f.Reads, f.Writes, f.Ratio)
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
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
