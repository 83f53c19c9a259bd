// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// stopTime is how long the node may take to its end.
const stopTime = 20 * time.Second

// node is an xnode process.
type node struct {
	binary string
	cmd    *exec.Cmd
	dir    string // its data folder
	log    string // its log file
	agent  string
	relay  string   // the relay's peer ID
	addrs  []string // at which it can be dialled
}

// conn is a connection as the node lists it.
type conn struct {
	Peer      string `json:"peer"`
	Addr      string `json:"addr"`
	Transport string `json:"transport"`
	Security  string `json:"security"`
	Muxer     string `json:"muxer"`
	Agent     string `json:"agent"`
}

// startNode runs xnode with configs/browser.json on loopback, on one free port.
// It has a place at the relay.
func (r *run) startNode(ctx context.Context, relay *node) (*node, error) {
	text, err := os.ReadFile(filepath.Join(r.root, "configs", "browser.json"))
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if text, err = onLoopback(text, port, r.debug); err == nil {
		text, err = behind(text, relay.addrs[0])
	}
	if err != nil {
		return nil, fmt.Errorf("browser.json: %w", err)
	}
	n, err := r.launch(ctx, "node.log", text)
	if err != nil {
		return nil, err
	}
	n.relay = peerOf(relay.addrs[0])
	for deadline := time.Now().Add(stopTime); !slices.ContainsFunc(n.addrs, throughRelay.MatchString); {
		if err := n.describe(ctx); err != nil || time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("no place at the relay: %w", err), n.stop())
		}
		time.Sleep(pollEvery)
	}
	return n, nil
}

// peerOf is the peer ID at the end of an address.
func peerOf(addr string) string { return addr[strings.LastIndexByte(addr, '/')+1:] }

// launch runs xnode with a document.
func (r *run) launch(ctx context.Context, log string, document []byte) (*node, error) {
	dir, err := os.MkdirTemp("", "xnode") // short: it holds a unix socket
	if err != nil {
		return nil, err
	}
	n := &node{binary: r.xnode, dir: dir, log: filepath.Join(r.out, log)}
	if err := n.start(ctx, document); err != nil {
		return nil, errors.Join(fmt.Errorf("start xnode: %w", err), os.RemoveAll(dir))
	}
	if err := n.describe(ctx); err != nil {
		return nil, errors.Join(err, n.stop())
	}
	return n, nil
}

// start returns when the node listens.
func (n *node) start(ctx context.Context, text []byte) error {
	own := filepath.Join(n.dir, "config.json")
	if err := os.WriteFile(own, text, 0o600); err != nil {
		return err
	}
	log, err := os.Create(n.log)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	n.cmd = n.command(ctx, "run", "-c", own)
	n.cmd.Stderr = log
	n.cmd.Cancel = func() error { return n.cmd.Process.Signal(syscall.SIGTERM) }
	n.cmd.WaitDelay = stopTime
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := n.cmd.Start(); err != nil {
		return err
	}
	if !bufio.NewScanner(stdout).Scan() { // its peer ID comes once it listens
		return fmt.Errorf("it ended: %w; its log is %s", n.cmd.Wait(), n.log)
	}
	return nil
}

// describe asks the node who and where it is.
func (n *node) describe(ctx context.Context) error {
	var self struct {
		Agent string   `json:"agent"`
		Addrs []string `json:"addrs"`
	}
	err := n.ask(ctx, &self, "id")
	n.agent, n.addrs = self.Agent, self.Addrs
	return err
}

// stop ends the node and throws away its data.
func (n *node) stop() error {
	_ = n.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	late := time.AfterFunc(stopTime, func() { _ = n.cmd.Process.Kill() })
	defer late.Stop()
	return errors.Join(n.cmd.Wait(), os.RemoveAll(n.dir))
}

func (n *node) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, n.binary, args...)
	cmd.Env = append(os.Environ(), "XNODE_DATA="+n.dir, "XNODE_ADMIN=")
	return cmd
}

// ask runs a command of xnode and decodes the JSON it prints.
func (n *node) ask(ctx context.Context, answer any, args ...string) error {
	cmd := n.command(ctx, append(args, "--json")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("xnode %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return json.Unmarshal(text, answer)
}

// conns lists the node's connections, without those to the relay and through it.
func (n *node) conns(ctx context.Context) ([]conn, error) {
	var list []conn
	err := n.ask(ctx, &list, "peers")
	return slices.DeleteFunc(list, func(c conn) bool {
		return c.Peer == n.relay || strings.Contains(c.Addr, "/p2p-circuit")
	}), err
}

// connect has the node connect to a peer.
func (n *node) connect(ctx context.Context, addr string) error {
	text, err := n.command(ctx, "connect", addr).CombinedOutput()
	if err != nil {
		return fmt.Errorf("xnode connect: %w: %s", err, bytes.TrimSpace(text))
	}
	return nil
}

// ping pings a target and returns the times in milliseconds. If the target is a
// peer ID, the node itself does it, over the connection it has; else another
// node, which ends with it.
func (n *node) ping(ctx context.Context, target string, count int) ([]float64, error) {
	cmd := n.command(ctx, "ping", "--json", "-i", "10ms", "-n", fmt.Sprint(count), target)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("xnode ping: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	var times []float64
	for line := range bytes.Lines(text) {
		var pong struct {
			RTT time.Duration `json:"rtt_ns"`
		}
		if err := json.Unmarshal(line, &pong); err != nil {
			return nil, fmt.Errorf("xnode ping: %.200q: %w", line, err)
		}
		times = append(times, float64(pong.RTT)/float64(time.Millisecond))
	}
	if len(times) != count {
		return nil, fmt.Errorf("xnode ping: %d answers, want %d", len(times), count)
	}
	return times, nil
}

// maxTries is how many ports are tried.
const maxTries = 100

// freePort returns a port that is free for TCP and UDP on loopback.
func freePort() (int, error) {
	for range maxTries {
		tcp, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		at := tcp.Addr().(*net.TCPAddr)
		udp, err := net.ListenPacket("udp4", at.String())
		_ = tcp.Close()
		if err == nil {
			return at.Port, udp.Close()
		}
	}
	return 0, errors.New("no port is free for both TCP and UDP")
}
