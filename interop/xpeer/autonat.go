// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"encoding/json"
	"fmt"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
)

// autonatVersions are the words of --autonat: the versions of AutoNAT that a node
// asks with and answers.
var autonatVersions = map[string]string{"v1": "1", "v2": "2", "both": "1, 2"}

// autonatConfig returns the configuration of nat.autonat for a word; nil for none.
// It asks often: a client of the matrix has a few seconds. Who asks nobody only
// answers: js-libp2p closes a connection on which it is asked with version 1.
func autonatConfig(word string, asks bool) (json.RawMessage, error) {
	if word == "" {
		return nil, nil
	}
	versions, ok := autonatVersions[word]
	if !ok {
		return nil, usagef("--autonat %q: want v1, v2 or both", word)
	}
	roles := `"server"`
	if asks {
		roles += `, "client"`
	}
	return fmt.Appendf(nil, `{"versions": [%s], "roles": [%s], "retry": "2s"}`, versions, roles), nil
}

// planAutoNAT adds the module to a plan. What asks others begins before what goes by
// the answers.
func (b blueprint) planAutoNAT(p *host.Plan, l core.Loader) error {
	if b.autonat == nil {
		return nil
	}
	loaded, err := core.Map[core.NAT]{"autonat": b.autonat}.Load(l)
	if err != nil {
		return err
	}
	p.Services = append(p.Services, core.Loaded[core.Service]{Name: loaded[0].Name, Module: loaded[0].Module})
	return nil
}

// reach is the answer to a line "reach": what AutoNAT says.
type reach struct {
	Reachability string        `json:"reachability"`
	Addrs        []reachedAddr `json:"addrs"`
}

// reachedAddr is an address that version 2 has asked about.
type reachedAddr struct {
	Addr         string `json:"addr"`
	Reachability string `json:"reachability"`
}

func (n *node) reach() any {
	reporter, ok := core.Find[core.ReachReporter](n)
	if !ok {
		return failure{Error: "there is no --autonat"}
	}
	found := reporter.Reach()
	r := reach{Reachability: found.Reachability.String(), Addrs: []reachedAddr{}}
	for _, a := range found.Addrs {
		r.Addrs = append(r.Addrs, reachedAddr{a.Addr.String(), a.Reachability.String()})
	}
	return r
}
