// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// event is what the routing commands stream; the types are those of routing.QueryEventType.
type event struct {
	Type      int
	Responses []struct {
		ID    string
		Addrs []string
	}
	Extra string
}

const (
	finalPeer = 2
	provider  = 4
	value     = 5
)

type found struct {
	Peer  string   `json:"peer"`
	Addrs []string `json:"addrs"`
}

var errNotFound = errors.New("not found")

// dht runs one operation with Kubo's routing commands.
func (d *daemon) dht(ctx context.Context, words []string) (any, error) {
	arguments := map[string]int{"find-peer": 1, "put": 2, "get": 1, "put-pk": 0, "get-pk": 1, "put-name": 1, "get-name": 1, "provide": 1, "find-providers": 1}
	if want, ok := arguments[words[0]]; !ok || len(words)-1 != want {
		return nil, fmt.Errorf("dht %s: %w", strings.Join(words, " "), errUsage)
	}
	switch words[0] {
	case "find-peer":
		events, err := d.routing(ctx, "findpeer", nil, words[1])
		for _, e := range events {
			if e.Type == finalPeer && len(e.Responses) > 0 {
				return found{e.Responses[0].ID, e.Responses[0].Addrs}, nil
			}
		}
		return nil, orNotFound(err)
	case "put":
		_, err := d.routing(ctx, "put", []byte(words[2]), words[1])
		return map[string]bool{"ok": true}, err
	case "get":
		raw, err := d.value(ctx, words[1])
		return map[string]string{"value": string(raw)}, err
	case "put-pk":
		id, err := d.identity(ctx)
		if err != nil {
			return nil, err
		}
		_, err = d.routing(ctx, "put", id.PublicKey, "/pk/"+id.ID)
		return map[string]string{"peer": id.ID}, err
	case "get-pk":
		raw, err := d.value(ctx, "/pk/"+words[1])
		return map[string]string{"peer": hashed(raw)}, err
	case "put-name":
		var published struct{ Name string }
		err := d.json(ctx, "name/publish", &published, "/ipfs/"+contentID(words[1]))
		return map[string]string{"peer": published.Name}, err
	case "get-name":
		var resolved struct{ Path string }
		err := d.json(ctx, "name/resolve", &resolved, "/ipns/"+words[1])
		return map[string]string{"value": resolved.Path}, err
	case "provide":
		if _, err := d.call(ctx, "block/put", []byte(words[1])); err != nil {
			return nil, err
		}
		_, err := d.routing(ctx, "provide", nil, contentID(words[1]))
		return map[string]string{"cid": contentID(words[1])}, err
	default: // find-providers
		return d.findProviders(ctx, words[1])
	}
}

func (d *daemon) findProviders(ctx context.Context, text string) (any, error) {
	events, err := d.routing(ctx, "findprovs", nil, contentID(text))
	providers := []found{}
	for _, e := range events {
		for _, r := range e.Responses {
			if e.Type == provider {
				providers = append(providers, found{r.ID, r.Addrs})
			}
		}
	}
	if len(providers) == 0 {
		return nil, orNotFound(err)
	}
	return map[string][]found{"providers": providers}, err
}

func (d *daemon) value(ctx context.Context, key string) ([]byte, error) {
	events, err := d.routing(ctx, "get", nil, key)
	for _, e := range slices.Backward(events) {
		if e.Type == value {
			var raw []byte
			err := json.Unmarshal(fmt.Appendf(nil, "%q", e.Extra), &raw)
			return raw, err
		}
	}
	return nil, orNotFound(err)
}

// json runs a command with one answer.
func (d *daemon) json(ctx context.Context, command string, answer any, arg string) error {
	raw, err := d.call(ctx, command, nil, arg)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, answer)
}

// routing runs one routing command and returns its events.
func (d *daemon) routing(ctx context.Context, command string, body []byte, arg string) (events []event, err error) {
	raw, err := d.call(ctx, "routing/"+command, body, arg)
	if err != nil {
		return nil, err
	}
	for dec := json.NewDecoder(bytes.NewReader(raw)); dec.More(); {
		var e event
		if err := dec.Decode(&e); err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

func orNotFound(err error) error {
	if err == nil {
		err = errNotFound
	}
	return err
}

// multihash is the sha2-256 multihash of some bytes.
func multihash(raw []byte) []byte {
	sum := sha256.Sum256(raw)
	return append([]byte{0x12, sha256.Size}, sum[:]...)
}

// contentID is the CIDv1 of a text as raw bytes.
func contentID(text string) string {
	cid := append([]byte{1, 0x55}, multihash([]byte(text))...)
	return "b" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(cid))
}

// hashed is the peer ID of a public key that is too long to stand in it, an RSA key's.
func hashed(key []byte) string {
	const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	var text []byte
	n, base, digit := new(big.Int).SetBytes(multihash(key)), big.NewInt(58), new(big.Int)
	for n.Sign() > 0 {
		n.DivMod(n, base, digit)
		text = append(text, digits[digit.Int64()])
	}
	slices.Reverse(text)
	return string(text)
}
