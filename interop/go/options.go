// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/pnet"
)

// options are the flags that every command takes.
type options struct {
	transports list
	security   string
	muxer      string
	seed       uint64
	keyFile    string
	keyType    string
	networkKey string
	timeout    timeout
	cpuProfile string
	memProfile string
}

func (o *options) define(flags *flag.FlagSet) {
	o.timeout.limit = 5 * time.Minute
	flags.Var(&o.transports, "transport", "transports, comma separated: "+transportNames()+" (listen: default tcp; clients: what ADDR says)")
	flags.StringVar(&o.security, "security", "both", "noise, tls, both (tls preferred, as go-libp2p has it) or plaintext")
	flags.StringVar(&o.muxer, "muxer", "yamux", "yamux")
	flags.Uint64Var(&o.seed, "seed", 0, "Ed25519 identity from this number, 0 for a random one")
	flags.StringVar(&o.keyFile, "key", "", "file with the identity: libp2p's PrivateKey message, plain or in base64")
	flags.StringVar(&o.keyType, "key-type", "ed25519", "type of a random identity: ed25519, rsa, secp256k1 or ecdsa")
	flags.StringVar(&o.networkKey, "pnet", "", "file with the key of a private network (swarm.key)")
	flags.Var(&o.timeout, "timeout", "bound of the whole operation, as 30s or in seconds; 0 for none")
	flags.StringVar(&o.cpuProfile, "cpuprofile", "", "file for a CPU profile")
	flags.StringVar(&o.memProfile, "memprofile", "", "file for a profile of allocations")
}

// check refuses what no node could be built from.
func (o *options) check() error {
	if o.muxer != "yamux" {
		return usagef("--muxer %s: this go-libp2p speaks yamux only", o.muxer)
	}
	if _, err := securities(o.security); err != nil {
		return err
	}
	for _, name := range o.transports {
		if _, err := transportNamed(name); err != nil {
			return err
		}
	}
	if o.seed != 0 && (o.keyFile != "" || o.keyType != "ed25519") {
		return usagef("--seed makes an ed25519 identity: it goes with neither --key nor another --key-type")
	}
	return nil
}

// network returns the key of the private network, nil if there is none.
func (o *options) network() (pnet.PSK, error) {
	if o.networkKey == "" {
		return nil, nil
	}
	file, err := os.Open(o.networkKey)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	key, err := pnet.DecodeV1PSK(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.networkKey, err)
	}
	return key, nil
}

// list is a flag of comma separated values; given again, it grows.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	for item := range strings.SplitSeq(s, ",") {
		if item != "" {
			*l = append(*l, item)
		}
	}
	return nil
}

// timeout is a flag that takes Go's durations and plain seconds.
type timeout struct{ limit time.Duration }

func (t *timeout) String() string { return t.limit.String() }

func (t *timeout) Set(s string) error {
	d, err := time.ParseDuration(s)
	if seconds, numErr := strconv.ParseFloat(s, 64); numErr == nil {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil {
		return err
	}
	if d < 0 {
		return fmt.Errorf("%s is negative", s)
	}
	t.limit = d
	return nil
}

// timedOut is the cause of a context that --timeout ended.
type timedOut time.Duration

func (t timedOut) Error() string { return "timed out after " + time.Duration(t).String() }

// Is lets errors.Is find the field's usual sentinel.
func (t timedOut) Is(target error) bool { return target == context.DeadlineExceeded }
