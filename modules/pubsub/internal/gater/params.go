// SPDX-License-Identifier: Apache-2.0 OR MIT

package gater

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// Params are the parameters of a gater, by the names and with the defaults that
// they have in go-libp2p-pubsub.
type Params struct {
	// Threshold is the part of the messages for which the validators have no
	// room, above which the gater works.
	// Default: 0.33.
	Threshold float64 `json:"threshold,omitempty"`
	// GlobalDecay is what is left of the counters of that part after a
	// DecayInterval, between 0 and 1.
	// Default: 0.9624, with which one message is forgotten in 2 minutes.
	GlobalDecay float64 `json:"global_decay,omitempty"`
	// SourceDecay is what is left of the counters of a source of messages, which
	// is an IP address.
	// Default: 0.9987, with which one message is forgotten in an hour.
	SourceDecay float64 `json:"source_decay,omitempty"`
	// DecayInterval is how often counters decay.
	// Default: "1s".
	DecayInterval core.Duration `json:"decay_interval,omitempty"`
	// DecayToZero is the value below which a counter counts as 0.
	// Default: 0.01.
	DecayToZero float64 `json:"decay_to_zero,omitempty"`
	// RetainStats is how long the counters of a source are remembered that has
	// left.
	// Default: "6h".
	RetainStats core.Duration `json:"retain_stats,omitempty"`
	// Quiet is how long after the last message for which there was no room the
	// gater goes on working.
	// Default: "1m".
	Quiet core.Duration `json:"quiet,omitempty"`
	// DuplicateWeight is what a message that had come before counts against its
	// source, where a good one counts 1 for it.
	// Default: 0.125.
	DuplicateWeight float64 `json:"duplicate_weight,omitempty"`
	// IgnoreWeight is the same of a message that validators ignore.
	// Default: 1.
	IgnoreWeight float64 `json:"ignore_weight,omitempty"`
	// RejectWeight is the same of a message that is not valid.
	// Default: 16.
	RejectWeight float64 `json:"reject_weight,omitempty"`
	// TopicDeliveryWeights are what good messages of some topics count, by the
	// topics' names.
	// Default: 1 for each.
	TopicDeliveryWeights map[string]float64 `json:"topic_delivery_weights,omitempty"`
}

// Provision fills in what is not given.
func (p *Params) Provision() {
	for _, f := range []struct {
		v  *float64
		to float64
	}{
		{&p.Threshold, 0.33},
		{&p.DecayToZero, 0.01},
		{&p.DuplicateWeight, 0.125},
		{&p.IgnoreWeight, 1},
		{&p.RejectWeight, 16},
		{&p.GlobalDecay, math.Pow(0.01, 1.0/120)},
		{&p.SourceDecay, math.Pow(0.01, 1.0/3600)},
	} {
		if *f.v == 0 {
			*f.v = f.to
		}
	}
	for _, f := range []struct {
		v  *core.Duration
		to time.Duration
	}{
		{&p.DecayInterval, time.Second},
		{&p.RetainStats, 6 * time.Hour},
		{&p.Quiet, time.Minute},
	} {
		if *f.v == 0 {
			*f.v = core.Duration(f.to)
		}
	}
}

// Validate says what cannot be meant.
func (p *Params) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, f := range []struct {
		key string
		v   float64
		ok  bool
		by  string
	}{
		{"threshold", p.Threshold, p.Threshold > 0, "above 0"},
		{"global_decay", p.GlobalDecay, p.GlobalDecay > 0 && p.GlobalDecay < 1, "between 0 and 1"},
		{"source_decay", p.SourceDecay, p.SourceDecay > 0 && p.SourceDecay < 1, "between 0 and 1"},
		{"decay_to_zero", p.DecayToZero, p.DecayToZero > 0 && p.DecayToZero < 1, "between 0 and 1"},
		{"duplicate_weight", p.DuplicateWeight, p.DuplicateWeight > 0, "above 0"},
		{"ignore_weight", p.IgnoreWeight, p.IgnoreWeight >= 1, "at least 1"},
		{"reject_weight", p.RejectWeight, p.RejectWeight >= 1, "at least 1"},
	} {
		if !f.ok || math.IsInf(f.v, 0) {
			add("%s: want a number %s, have %v", f.key, f.by, f.v)
		}
	}
	for topic, v := range p.TopicDeliveryWeights {
		if !(v > 0) || math.IsInf(v, 0) {
			add("topic_delivery_weights/%s: want a number above 0, have %v", topic, v)
		}
	}
	for _, d := range []struct {
		key       string
		v         core.Duration
		low, high time.Duration
	}{
		{"decay_interval", p.DecayInterval, time.Second, 24 * time.Hour},
		{"retain_stats", p.RetainStats, time.Second, 30 * 24 * time.Hour},
		{"quiet", p.Quiet, time.Second, 24 * time.Hour},
	} {
		if v := time.Duration(d.v); v < d.low || v > d.high {
			add("%s: want %v to %v, have %v", d.key, d.low, d.high, v)
		}
	}
	return errors.Join(errs...)
}
