// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"fmt"
	"slices"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/gater"
	"github.com/xnode-p2p/xnode/core/internal/limits"
	"github.com/xnode-p2p/xnode/core/internal/swarm"
)

// maxAgent bounds the agent, in bytes. Of a much longer one, identify would not
// fit into what peers read, and none of them would know this node.
const maxAgent = 256

// Plan is what a host is to run: the modules and settings of one
// configuration. A module that stands in two plans, as the same value, is
// carried from one to the other untouched.
type Plan struct {
	Listen     []ma.Multiaddr
	Transports []core.Loaded[core.Transport]
	// Securities and Muxers are in order of preference.
	Securities []core.Loaded[core.Security]
	Muxers     []core.Loaded[core.Muxer]
	// Services are in the order of their start.
	Services []core.Loaded[core.Service]

	Addresses AddrsConfig

	Limits limits.Config
	Gater  gater.Config
	Dial   swarm.DialConfig
	Agent  string
}

// provision fills in the settings that are missing and checks them.
func (p *Plan) provision() error {
	if p.Agent == "" {
		p.Agent = "xnode/" + version()
	}
	if len(p.Agent) > maxAgent {
		return fmt.Errorf("agent: %d bytes, of which peers would show %d at most; shorten it", len(p.Agent), maxAgent)
	}
	if _, err := p.Addresses.rules(); err != nil {
		return fmt.Errorf("addresses: %w", err)
	}
	if err := p.Limits.Provision(); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	if err := p.Limits.Validate(); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	p.Dial.Provision()
	if err := p.Dial.Validate(); err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	return nil
}

// validate finds contradictions between the parts of a plan.
func (p *Plan) validate() error {
	transports := p.transports()
	for i, a := range p.Listen {
		if _, ok := swarm.TransportFor(transports, a); !ok {
			return fmt.Errorf("listen/%d: no configured transport listens on %s; add one to transports or remove the address", i, a)
		}
	}
	private, err := p.privateNetwork()
	if err != nil {
		return err
	}
	for _, t := range transports {
		if _, muxed := t.Transport.(core.MuxedTransport); muxed && private != "" {
			return fmt.Errorf("transports/%s: its connections cannot be part of the private network of security/%s; "+
				"remove one of the two, or let gater.allow name the peers instead", t.Name, private)
		}
	}
	channels := len(p.Securities)
	if private != "" {
		channels--
	}
	for _, t := range p.Transports {
		if _, raw := t.Module.(core.RawTransport); raw && (channels == 0 || len(p.Muxers) == 0) {
			return fmt.Errorf("transports/%s: its connections need at least one module in security and one in muxers", t.Name)
		}
	}
	return nil
}

// privateNetwork is the name of the module that makes the network private;
// empty if there is none.
func (p *Plan) privateNetwork() (name string, err error) {
	for _, m := range p.Securities {
		if _, ok := m.Module.(core.PrivateNetwork); !ok {
			continue
		}
		if name != "" {
			return "", fmt.Errorf("security: %s and %s are both private networks, and a node has one at most; remove one", name, m.Name)
		}
		name = m.Name
	}
	return name, nil
}

// transports lists the transports for the swarm, services that are transports
// too included.
func (p *Plan) transports() []swarm.Transport {
	var list []swarm.Transport
	for _, t := range p.Transports {
		list = append(list, swarm.Transport{Name: t.Name, Transport: t.Module})
	}
	for _, s := range p.Services {
		if t, ok := s.Module.(core.Transport); ok {
			list = append(list, swarm.Transport{Name: s.Name, Transport: t})
		}
	}
	return list
}

// modules lists all modules in the order of their start.
func (p *Plan) modules() []module { return append(p.foundation(), p.services()...) }

// foundation lists what connections are made with.
func (p *Plan) foundation() []module {
	var list []module
	for _, m := range p.Transports {
		list = append(list, module{"transports/" + m.Name, m.Module})
	}
	for _, m := range p.Securities {
		list = append(list, module{"security/" + m.Name, m.Module})
	}
	for _, m := range p.Muxers {
		list = append(list, module{"muxers/" + m.Name, m.Module})
	}
	return list
}

func (p *Plan) services() []module {
	var list []module
	for _, m := range p.Services {
		list = append(list, module{m.Name, m.Module})
	}
	return list
}

// storage lists the module that others keep things in, which starts before them.
func (p *Plan) storage() []module {
	return slices.DeleteFunc(p.services(), func(m module) bool {
		_, ok := m.value.(core.Storage)
		return !ok
	})
}

// store is the storage of the plan; nil if there is none.
func (p *Plan) store() core.Storage {
	for _, m := range p.storage() {
		return m.value.(core.Storage)
	}
	return nil
}

func (p *Plan) securities() []core.Security {
	list := make([]core.Security, len(p.Securities))
	for i, m := range p.Securities {
		list[i] = m.Module
	}
	return list
}

func (p *Plan) muxers() []core.Muxer {
	list := make([]core.Muxer, len(p.Muxers))
	for i, m := range p.Muxers {
		list[i] = m.Module
	}
	return list
}
