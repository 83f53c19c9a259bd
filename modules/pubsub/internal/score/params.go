// SPDX-License-Identifier: Apache-2.0 OR MIT

package score

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// Params are what peers are judged by, beside what they do in topics.
type Params struct {
	// Topics are the parameters of topics. A topic that is not listed does
	// not count.
	// Default: none.
	Topics map[string]*TopicParams `json:"topics,omitempty"`

	// TopicCap bounds what all topics together can add to a score. Zero means
	// no bound.
	// Default: 0.
	TopicCap float64 `json:"topic_cap,omitempty"`

	// Peers are scores that peers have beforehand, by peer ID, such as a
	// positive one for a bootstrapper (P5).
	// Default: none.
	Peers map[string]float64 `json:"peers,omitempty"`

	// IPColocationWeight is the weight of the number of peers with the same IP
	// address above IPColocationThreshold, squared (P6). It is negative, or
	// zero to leave it out.
	// Default: 0.
	IPColocationWeight float64 `json:"ip_colocation_weight,omitempty"`

	// IPColocationThreshold is how many peers may share an IP address.
	// Default: 10.
	IPColocationThreshold int `json:"ip_colocation_threshold,omitempty"`

	// IPColocationAllow are subnets that P6 leaves out. Loopback addresses are
	// always left out.
	// Default: none.
	IPColocationAllow []string `json:"ip_colocation_allow,omitempty"`

	// BehaviourWeight is the weight of what a peer did against the protocol,
	// above BehaviourThreshold, squared (P7). It is negative, or zero to leave
	// it out.
	// Default: -10.
	BehaviourWeight *float64 `json:"behaviour_weight,omitempty"`

	// BehaviourThreshold is how much of it is forgiven.
	// Default: 0.
	BehaviourThreshold float64 `json:"behaviour_threshold,omitempty"`

	// BehaviourDecay is what is left of P7's counter after a DecayInterval,
	// between 0 and 1.
	// Default: 0.99.
	BehaviourDecay float64 `json:"behaviour_decay,omitempty"`

	// DecayInterval is how often counters decay.
	// Default: "1s".
	DecayInterval core.Duration `json:"decay_interval,omitempty"`

	// DecayToZero is the value below which a counter counts as 0.
	// Default: 0.01.
	DecayToZero float64 `json:"decay_to_zero,omitempty"`

	// Retain is how long the score of a peer that has left is remembered, if
	// it is not positive.
	// Default: "1h".
	Retain core.Duration `json:"retain,omitempty"`

	// Gossip is the score below which a peer gets no gossip, and none is taken
	// from it.
	// Default: -10.
	Gossip *float64 `json:"gossip_threshold,omitempty"`

	// Publish is the score below which own messages are not sent to a peer.
	// Default: -50.
	Publish *float64 `json:"publish_threshold,omitempty"`

	// Graylist is the score below which all that a peer sends is ignored.
	// Default: -80.
	Graylist *float64 `json:"graylist_threshold,omitempty"`

	// AcceptPX is the score from which on the peers that a peer recommends are
	// believed.
	// Default: 10.
	AcceptPX *float64 `json:"accept_px_threshold,omitempty"`

	// OpportunisticGraft is the median score of a mesh below which better peers
	// are added to it.
	// Default: 1.
	OpportunisticGraft *float64 `json:"opportunistic_graft_threshold,omitempty"`

	allow []netip.Prefix
}

// TopicParams are what peers are judged by in one topic. Each weight is zero
// unless it is given: the rest of its parameters then does nothing.
type TopicParams struct {
	// Weight is that of the topic in the score.
	// Default: 1.
	Weight *float64 `json:"weight,omitempty"`

	// TimeInMeshWeight is the weight of the time in the mesh (P1), in units of
	// TimeInMeshQuantum, up to TimeInMeshCap. It is positive.
	// Default: 0.
	TimeInMeshWeight float64 `json:"time_in_mesh_weight,omitempty"`
	// TimeInMeshQuantum is the unit of P1. Default: "1s".
	TimeInMeshQuantum core.Duration `json:"time_in_mesh_quantum,omitempty"`
	// TimeInMeshCap bounds P1. Default: 3600.
	TimeInMeshCap float64 `json:"time_in_mesh_cap,omitempty"`

	// FirstDeliveriesWeight is the weight of messages that a peer was the first
	// to deliver (P2). It is positive.
	// Default: 0.
	FirstDeliveriesWeight float64 `json:"first_message_deliveries_weight,omitempty"`
	// FirstDeliveriesDecay is what is left of P2's counter after a decay
	// interval. Default: 0.99.
	FirstDeliveriesDecay float64 `json:"first_message_deliveries_decay,omitempty"`
	// FirstDeliveriesCap bounds P2's counter. Default: 2000.
	FirstDeliveriesCap float64 `json:"first_message_deliveries_cap,omitempty"`

	// MeshDeliveriesWeight is the weight of what a peer of the mesh delivers
	// too little, squared (P3). It is negative.
	// Default: 0.
	MeshDeliveriesWeight float64 `json:"mesh_message_deliveries_weight,omitempty"`
	// MeshDeliveriesDecay is what is left of P3's counter after a decay
	// interval. Default: 0.97.
	MeshDeliveriesDecay float64 `json:"mesh_message_deliveries_decay,omitempty"`
	// MeshDeliveriesCap bounds P3's counter. Default: 100.
	MeshDeliveriesCap float64 `json:"mesh_message_deliveries_cap,omitempty"`
	// MeshDeliveriesThreshold is the counter that is enough. Default: 20.
	MeshDeliveriesThreshold float64 `json:"mesh_message_deliveries_threshold,omitempty"`
	// MeshDeliveriesWindow is how long after its first arrival a message still
	// counts for P3. Default: "10ms".
	MeshDeliveriesWindow core.Duration `json:"mesh_message_deliveries_window,omitempty"`
	// MeshDeliveriesActivation is how long a peer must have been in the mesh
	// before P3 counts. Default: "30s".
	MeshDeliveriesActivation core.Duration `json:"mesh_message_deliveries_activation,omitempty"`

	// MeshFailureWeight is the weight of P3's deficit at the time when a peer
	// left the mesh (P3b). It is negative.
	// Default: 0.
	MeshFailureWeight float64 `json:"mesh_failure_penalty_weight,omitempty"`
	// MeshFailureDecay is what is left of P3b's counter after a decay interval.
	// Default: 0.99.
	MeshFailureDecay float64 `json:"mesh_failure_penalty_decay,omitempty"`

	// InvalidWeight is the weight of invalid messages, squared (P4). It is
	// negative.
	// Default: -100.
	InvalidWeight *float64 `json:"invalid_message_deliveries_weight,omitempty"`
	// InvalidDecay is what is left of P4's counter after a decay interval.
	// Default: 0.99.
	InvalidDecay float64 `json:"invalid_message_deliveries_decay,omitempty"`
}

func fill[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

func fillPointer(v **float64, to float64) {
	if *v == nil {
		*v = &to
	}
}

// Provision fills in what is not given.
func (p *Params) Provision() {
	fill(&p.IPColocationThreshold, 10)
	fillPointer(&p.BehaviourWeight, -10)
	fill(&p.BehaviourDecay, 0.99)
	fill(&p.DecayInterval, core.Duration(time.Second))
	fill(&p.DecayToZero, 0.01)
	fill(&p.Retain, core.Duration(time.Hour))
	fillPointer(&p.Gossip, -10)
	fillPointer(&p.Publish, -50)
	fillPointer(&p.Graylist, -80)
	fillPointer(&p.AcceptPX, 10)
	fillPointer(&p.OpportunisticGraft, 1)
	for name, t := range p.Topics {
		if t == nil {
			t = new(TopicParams)
			p.Topics[name] = t
		}
		t.provision()
	}
}

func (t *TopicParams) provision() {
	fillPointer(&t.Weight, 1)
	fill(&t.TimeInMeshQuantum, core.Duration(time.Second))
	fill(&t.TimeInMeshCap, 3600)
	fill(&t.FirstDeliveriesDecay, 0.99)
	fill(&t.FirstDeliveriesCap, 2000)
	fill(&t.MeshDeliveriesDecay, 0.97)
	fill(&t.MeshDeliveriesCap, 100)
	fill(&t.MeshDeliveriesThreshold, 20)
	fill(&t.MeshDeliveriesWindow, core.Duration(10*time.Millisecond))
	fill(&t.MeshDeliveriesActivation, core.Duration(30*time.Second))
	fill(&t.MeshFailureDecay, 0.99)
	fillPointer(&t.InvalidWeight, -100)
	fill(&t.InvalidDecay, 0.99)
}

// Validate says what cannot be meant.
func (p *Params) Validate() error {
	var errs []error
	c := checker{&errs, ""}
	c.notNegative("topic_cap", p.TopicCap)
	c.notPositive("ip_colocation_weight", p.IPColocationWeight)
	if p.IPColocationThreshold < 1 {
		c.add("ip_colocation_threshold", "must be at least 1, is %d", p.IPColocationThreshold)
	}
	p.allow = nil
	for i, text := range p.IPColocationAllow {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			c.add(fmt.Sprintf("ip_colocation_allow/%d", i), "%q is no subnet; an example is 192.0.2.0/24", text)
		}
		p.allow = append(p.allow, prefix)
	}
	c.notPositive("behaviour_weight", *p.BehaviourWeight)
	c.notNegative("behaviour_threshold", p.BehaviourThreshold)
	c.fraction("behaviour_decay", p.BehaviourDecay)
	if time.Duration(p.DecayInterval) < time.Second {
		c.add("decay_interval", "must be at least 1s, is %s", time.Duration(p.DecayInterval))
	}
	c.fraction("decay_to_zero", p.DecayToZero)
	c.notPositive("gossip_threshold", *p.Gossip)
	if *p.Publish > *p.Gossip {
		c.add("publish_threshold", "must not be above gossip_threshold (%v), is %v", *p.Gossip, *p.Publish)
	}
	if *p.Graylist > *p.Publish {
		c.add("graylist_threshold", "must not be above publish_threshold (%v), is %v", *p.Publish, *p.Graylist)
	}
	c.notNegative("accept_px_threshold", *p.AcceptPX)
	c.notNegative("opportunistic_graft_threshold", *p.OpportunisticGraft)
	for name, t := range p.Topics {
		t.validate(checker{&errs, "topics/" + name + "/"})
	}
	return errors.Join(errs...)
}

func (t *TopicParams) validate(c checker) {
	c.notNegative("weight", *t.Weight)
	c.notNegative("time_in_mesh_weight", t.TimeInMeshWeight)
	if t.TimeInMeshQuantum <= 0 {
		c.add("time_in_mesh_quantum", "must be above 0")
	}
	c.notNegative("time_in_mesh_cap", t.TimeInMeshCap)
	c.notNegative("first_message_deliveries_weight", t.FirstDeliveriesWeight)
	c.fraction("first_message_deliveries_decay", t.FirstDeliveriesDecay)
	c.notNegative("first_message_deliveries_cap", t.FirstDeliveriesCap)
	c.notPositive("mesh_message_deliveries_weight", t.MeshDeliveriesWeight)
	c.fraction("mesh_message_deliveries_decay", t.MeshDeliveriesDecay)
	c.notNegative("mesh_message_deliveries_cap", t.MeshDeliveriesCap)
	c.notNegative("mesh_message_deliveries_threshold", t.MeshDeliveriesThreshold)
	c.notPositive("mesh_failure_penalty_weight", t.MeshFailureWeight)
	c.fraction("mesh_failure_penalty_decay", t.MeshFailureDecay)
	c.notPositive("invalid_message_deliveries_weight", *t.InvalidWeight)
	c.fraction("invalid_message_deliveries_decay", t.InvalidDecay)
}

// checker collects what is wrong, with the key it stands under.
type checker struct {
	errs *[]error
	path string
}

func (c checker) add(key, format string, args ...any) {
	*c.errs = append(*c.errs, fmt.Errorf("%s%s: "+format, append([]any{c.path, key}, args...)...))
}

func (c checker) notNegative(key string, v float64) {
	if !(v >= 0) || math.IsInf(v, 0) {
		c.add(key, "must not be negative, is %v", v)
	}
}

func (c checker) notPositive(key string, v float64) {
	if !(v <= 0) || math.IsInf(v, 0) {
		c.add(key, "must not be positive, is %v", v)
	}
}

func (c checker) fraction(key string, v float64) {
	if !(v > 0 && v < 1) {
		c.add(key, "must be between 0 and 1, is %v", v)
	}
}
