// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// options are the flags that every command takes.
type options struct {
	transports list
	security   string
	muxer      string
	seed       uint64
	keyFile    string
	keyType    string
	network    string // file with the key of a private network
	timeout    timeout
	cpuProfile string
	memProfile string
}

func (o *options) define(flags *flag.FlagSet) {
	o.timeout.limit = 5 * time.Minute
	flags.Var(&o.transports, "transport", "transports, comma separated (listen: default tcp; clients: what ADDR says)")
	flags.StringVar(&o.security, "security", "", "noise, tls, plaintext or both (tls and noise); default: all secure ones in this build")
	flags.StringVar(&o.muxer, "muxer", "yamux", "yamux or mplex")
	flags.Uint64Var(&o.seed, "seed", 0, "Ed25519 identity from this number, 0 for a random one")
	flags.StringVar(&o.keyFile, "key", "", "file with the identity: libp2p's PrivateKey message, plain or in base64")
	flags.StringVar(&o.keyType, "key-type", "ed25519", "type of a random identity: ed25519, rsa, secp256k1 or ecdsa")
	flags.StringVar(&o.network, "pnet", "", "file with the key of a private network (swarm.key)")
	flags.Var(&o.timeout, "timeout", "bound of the whole operation, as 30s or in seconds; 0 for none")
	flags.StringVar(&o.cpuProfile, "cpuprofile", "", "file for a CPU profile")
	flags.StringVar(&o.memProfile, "memprofile", "", "file for a profile of allocations")
}

// check refuses what no node could be built from.
func (o *options) check() error {
	if _, err := o.securities(); err != nil {
		return err
	}
	if _, err := o.muxers(); err != nil {
		return err
	}
	for _, name := range o.transports {
		if _, err := transportNamed(name); err != nil {
			return err
		}
	}
	if o.network != "" && !inBuild[core.Security]("pnet") {
		return absent("--pnet")
	}
	if o.seed != 0 && (o.keyFile != "" || o.keyType != "ed25519") {
		return usagef("--seed makes an ed25519 identity: it goes with neither --key nor another --key-type")
	}
	return nil
}

// list is a flag of comma separated values; given again, it grows.
type list []string

// String implements [flag.Value].
func (l *list) String() string { return strings.Join(*l, ",") }

// Set implements [flag.Value].
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

// String implements [flag.Value].
func (t *timeout) String() string { return t.limit.String() }

// Set implements [flag.Value].
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

// Error implements error.
func (t timedOut) Error() string { return "timed out after " + time.Duration(t).String() }

// Is lets errors.Is find the field's usual sentinel.
func (t timedOut) Is(target error) bool { return target == context.DeadlineExceeded }
