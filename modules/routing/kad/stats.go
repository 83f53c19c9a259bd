// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"sync/atomic"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/table"
)

// Stats implements [core.DHT].
func (k *Kad) Stats() []core.DHTStats {
	dhts, err := k.running()
	if err != nil {
		return nil
	}
	var all []core.DHTStats
	for _, d := range dhts {
		all = append(all, d.describe())
	}
	return all
}

func (d *dht) describe() core.DHTStats {
	s := core.DHTStats{
		Protocol: d.protocol, Server: d.server.Load(),
		Served: byName(&d.stats.served), Asked: byName(&d.stats.asked),
		Refused: d.stats.refused.Load(), Delayed: d.stats.delayed.Load(), Failed: d.stats.failed.Load(),
		Streams: d.lines.count(),
	}
	d.contacts.all(func(m table.Member, _ []byte) {
		for len(s.Buckets) <= m.Bucket {
			s.Buckets = append(s.Buckets, 0)
		}
		s.Buckets[m.Bucket]++
		s.Peers++
	})
	size, _ := d.sizes.estimate()
	s.NetworkSize = int(size + 0.5)
	// What a table cannot tell stays zero: the rest is worth showing.
	s.Records, _ = d.values.table.Stat()
	s.Providers, _ = d.providers.table.Stat()
	kept, _ := d.kept.table.Stat()
	values, _ := d.keptValues.table.Stat()
	s.Kept, s.KeptRecords = kept.Entries, values.Entries
	return s
}

func byName(counts *[kadwire.Types]atomic.Uint64) map[string]uint64 {
	m := make(map[string]uint64, len(counts))
	for i := range counts {
		m[kadwire.Type(i).String()] = counts[i].Load()
	}
	return m
}
