// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// onLoopback returns a node's document with all its listen addresses moved to
// loopback and to one port, of TCP or UDP as they are.
func onLoopback(document []byte, port int, debug bool) ([]byte, error) {
	var whole map[string]any
	if err := json.Unmarshal(document, &whole); err != nil {
		return nil, err
	}
	apps, _ := whole["apps"].(map[string]any)
	node, _ := apps["xnode"].(map[string]any)
	listen, _ := node["listen"].([]any)
	if len(listen) == 0 {
		return nil, errors.New("it has no listen addresses")
	}
	for i, item := range listen {
		addr, _ := item.(string)
		parts := strings.SplitN(addr, "/", 6) // "", ip4, IP, tcp or udp, port, the rest
		if len(parts) < 5 || parts[1] != "ip4" {
			return nil, fmt.Errorf("listen address %q: want one of IPv4 with a port", addr)
		}
		parts[2], parts[4] = "127.0.0.1", fmt.Sprint(port)
		listen[i] = strings.Join(parts, "/")
	}
	if debug {
		whole["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{"level": "DEBUG"}}}
	}
	return json.Marshal(whole)
}

// behind returns a node's document with a place at a relay, through which others
// are told how to connect directly. The node is a STUN server too.
func behind(document []byte, relay string) ([]byte, error) {
	var whole map[string]any
	if err := json.Unmarshal(document, &whole); err != nil {
		return nil, err
	}
	apps, _ := whole["apps"].(map[string]any)
	node, _ := apps["xnode"].(map[string]any)
	listen, _ := node["listen"].([]any)
	transports, _ := node["transports"].(map[string]any)
	if transports == nil {
		return nil, errors.New("it has no transports")
	}
	node["listen"] = append(listen, relay+"/p2p-circuit", "/webrtc")
	transports["webrtc"] = map[string]any{}
	transports["webrtcdirect"] = map[string]any{"stun_service": map[string]any{}}
	node["nat"] = map[string]any{"relay": map[string]any{}}
	return json.Marshal(whole)
}

// relayConfig is the document of the relay, a node that has nothing to do with the
// one that is tried but that it relays for it.
const relayConfig = `{"apps": {"xnode": {
	"listen": ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws"], "transports": {"tcp": {}, "websocket": {}},
	"nat": {"relay": {"service": {}}}}}}`

// jsonText is a value as JSON.
func jsonText(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}
