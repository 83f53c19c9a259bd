// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package admin is the server's side of the commands: the process's
// configuration, and routes on Caddy's admin endpoint.
//
//	GET  /xnode/id[?peer=ID]   who the node, or a peer, is
//	GET  /xnode/peers          its connections
//	GET  /xnode/discovered     the peers that its modules have found
//	GET  /xnode/addrs          where it can be reached, and whom it knows
//	GET  /xnode/reach          what was found out about that
//	GET  /xnode/doctor         what is wrong with its network
//	GET  /xnode/relay          what it does as a relay, and its places at others
//	GET  /xnode/limits         what is in use of its limits
//	POST /xnode/connect        {"target": PEER}
//	POST /xnode/disconnect     {"target": PEER}
//	POST /xnode/ping           {"target": PEER, "count": 10, "interval": "1s"}; a line of JSON for each answer
//	POST /xnode/trace/dial     {"target": PEER}
//	GET  /xnode/pubsub/topics  the topics that the node is subscribed to
//	GET  /xnode/pubsub/peers[?topic=TOPIC]  the peers that pub/sub runs with
//	POST /xnode/pubsub/publish {"topic": TOPIC, "data": BASE64}
//	POST /xnode/pubsub/subscribe {"topics": [TOPIC, …], "count": 0}; a line of JSON for each message
//	POST /xnode/pubsub/trace   a line of JSON for everything that happens in pub/sub
//	POST /xnode/pubsub/record  the same in protobuf, as go-libp2p-pubsub's traces have it
//	POST /xnode/routing/…      findpeer, query, findprovs, provide, get, put; see [RoutingRequest]
//	GET  /xnode/stats/dht      the tables of the DHT, and what they keep
//	POST /xnode/crawl          {"count": 100}; a line of JSON for each peer of the DHT
//	POST /xnode/load, /load    a whole document; without a body, the file of the last one again
//
// A PEER is a peer ID, an address that ends in /p2p/ID, or a domain with
// dnsaddr records. Lines come as events to those who accept text/event-stream.
// "timeout": "30s" bounds a request that has a target or a key. Errors
// are {"error": TEXT}, also as the last line of many; those of a document have {"mistakes": […]} too.
//
// Changes through Caddy's own /config and /id paths are served here as well, so
// that they are checked as strictly as whole documents.
package admin

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
)

func init() { caddy.RegisterModule(new(Router)) }

// Router is the module admin.api.xnode. It has no configuration.
type Router struct{}

// CaddyModule implements [caddy.Module].
func (*Router) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.xnode", New: func() caddy.Module { return new(Router) }}
}

// Routes implements [caddy.AdminRouter].
func (*Router) Routes() []caddy.AdminRoute {
	routes := []caddy.AdminRoute{
		guarded("/xnode/id", http.MethodGet, serveID),
		guarded("/xnode/peers", http.MethodGet, servePeers),
		guarded("/xnode/discovered", http.MethodGet, serveDiscovered),
		guarded("/xnode/addrs", http.MethodGet, serveAddrs),
		guarded("/xnode/reach", http.MethodGet, serveReach),
		guarded("/xnode/doctor", http.MethodGet, serveDoctor),
		guarded("/xnode/relay", http.MethodGet, serveRelay),
		guarded("/xnode/limits", http.MethodGet, serveLimits),
		guarded("/xnode/connect", http.MethodPost, asked(serveConnect)),
		guarded("/xnode/disconnect", http.MethodPost, asked(serveDisconnect)),
		guarded("/xnode/ping", http.MethodPost, asked(servePing)),
		guarded("/xnode/trace/dial", http.MethodPost, asked(serveTrace)),
		guarded("/xnode/pubsub/topics", http.MethodGet, serveTopics),
		guarded("/xnode/pubsub/peers", http.MethodGet, serveTopicPeers),
		guarded("/xnode/pubsub/publish", http.MethodPost, servePublish),
		guarded("/xnode/pubsub/subscribe", http.MethodPost, streamed(serveMessages)),
		guarded("/xnode/pubsub/trace", http.MethodPost, streamed(serveTopicTrace)),
		guarded("/xnode/pubsub/record", http.MethodPost, serveTopicRecord),
		guarded("/xnode/routing/findpeer", http.MethodPost, routed(findPeer)),
		guarded("/xnode/routing/query", http.MethodPost, routed(query)),
		guarded("/xnode/routing/findprovs", http.MethodPost, routed(findProviders)),
		guarded("/xnode/routing/provide", http.MethodPost, routed(provide)),
		guarded("/xnode/routing/get", http.MethodPost, routed(getValue)),
		guarded("/xnode/routing/put", http.MethodPost, routed(putValue)),
		guarded("/xnode/stats/dht", http.MethodGet, serveDHT),
		guarded("/xnode/crawl", http.MethodPost, routed(crawl)),
		guarded("/xnode/command", http.MethodPost, serveCommand),
		guarded("/xnode/load", http.MethodPost, serveLoad),
		guarded("/load", http.MethodPost, serveLoad),
	}
	// These are more specific than Caddy's pattern /config/, which is left
	// with the reading methods. Its /id/ leads here too.
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		routes = append(routes, guarded(method+" /config/", method, serveEdit))
	}
	return routes
}

var _ caddy.AdminRouter = (*Router)(nil)
