// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// settings are what is left to say of a daemon.
type settings struct {
	mode      string // of the DHT
	keyType   string
	delegated string // URL of a delegated routing server; empty for none
}

// daemon is a running Kubo with a repository of its own.
type daemon struct {
	cmd  *exec.Cmd
	repo string
	api  string // URL
	done chan struct{}
}

const (
	startTime = 2 * time.Minute
	stopTime  = 8 * time.Second
)

// start makes a repository and starts the daemon. It speaks to nobody but those it is told of: the profile test
// has no bootstrap peers, no mDNS, no AutoTLS, no AutoConf, and listens on loopback.
func start(ctx context.Context, ipfs string, s settings) (*daemon, error) {
	repo, err := os.MkdirTemp("", "kubo")
	if err != nil {
		return nil, err
	}
	d := &daemon{repo: repo, done: make(chan struct{})}
	if err := d.start(ctx, ipfs, s); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *daemon) start(ctx context.Context, ipfs string, s settings) error {
	env := append(os.Environ(), "IPFS_PATH="+d.repo, "IPFS_TELEMETRY=off", "GOLOG_LOG_LEVEL=error")
	bits := []string{}
	if s.keyType == "rsa" {
		bits = []string{"--bits", "2048"}
	}
	initialise := exec.CommandContext(ctx, ipfs, append([]string{"init", "--profile", "test", "--algorithm", s.keyType}, bits...)...)
	initialise.Env = env
	if text, err := initialise.CombinedOutput(); err != nil {
		return fmt.Errorf("ipfs init: %w: %s", err, text)
	}
	if err := d.configure(s); err != nil {
		return err
	}
	d.cmd = exec.Command(ipfs, "daemon")
	d.cmd.Env, d.cmd.Stderr, d.cmd.SysProcAttr = env, os.Stderr, together()
	if err := d.cmd.Start(); err != nil {
		d.cmd = nil
		return err
	}
	go func() {
		defer close(d.done)
		_ = d.cmd.Wait() // the state says how it ended
	}()
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		if raw, err := os.ReadFile(filepath.Join(d.repo, "api")); err == nil {
			if d.api, err = apiURL(string(raw)); err != nil {
				return err
			}
			if _, err := d.identity(ctx); err == nil {
				return nil
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-d.done:
			return fmt.Errorf("ipfs daemon ended: %v", d.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("ipfs daemon: %w", ctx.Err())
		}
	}
}

// configure changes the repository's configuration.
func (d *daemon) configure(s settings) error {
	path := filepath.Join(d.repo, "config")
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		return err
	}
	routing, ok := config["Routing"].(map[string]any)
	if !ok {
		return fmt.Errorf("%s: no Routing", path)
	}
	routing["Type"] = "dht" + s.mode
	if s.delegated != "" {
		routing["Type"], routing["DelegatedRouters"] = "delegated", []string{s.delegated}
		config["Ipns"].(map[string]any)["DelegatedPublishers"] = []string{s.delegated}
		config["Provide"] = map[string]any{"Enabled": false} // the protocol has nothing for that
	}
	config["Swarm"].(map[string]any)["RelayClient"] = map[string]any{"Enabled": false}
	if raw, err = json.Marshal(config); err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o600)
}

// gateway is the URL at which the daemon answers delegated routing, with the DHT.
func (d *daemon) gateway() (string, error) {
	raw, err := os.ReadFile(filepath.Join(d.repo, "gateway"))
	return strings.TrimSpace(string(raw)), err
}

// apiURL makes a URL of /ip4/A/tcp/P.
func apiURL(addr string) (string, error) {
	parts := strings.Split(strings.TrimSpace(addr), "/")
	if len(parts) != 5 {
		return "", fmt.Errorf("API at %q", addr)
	}
	return "http://" + net.JoinHostPort(parts[2], parts[4]) + "/api/v0/", nil
}

// Close ends the daemon and removes its repository.
func (d *daemon) Close() error {
	if d.cmd != nil {
		_ = d.cmd.Process.Signal(os.Interrupt) // one that has ended is fine
		select {
		case <-d.done:
		case <-time.After(stopTime):
			_ = d.cmd.Process.Kill()
			<-d.done
		}
	}
	return os.RemoveAll(d.repo)
}

// call calls the API. A body is sent as a file.
func (d *daemon) call(ctx context.Context, command string, body []byte, args ...string) ([]byte, error) {
	query := url.Values{"arg": args}
	switch command {
	case "block/put":
		query = url.Values{"cid-codec": {"raw"}, "mhtype": {"sha2-256"}}
	case "name/publish":
		query.Set("resolve", "false") // the daemon need not have what the name stands for
	}
	var content bytes.Buffer
	form := multipart.NewWriter(&content)
	if body != nil {
		file, err := form.CreateFormFile("file", "file")
		if err != nil {
			return nil, err
		}
		_, _ = file.Write(body) // into memory
	}
	if err := form.Close(); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.api+command+"?"+query.Encode(), &content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", form.FormDataContentType())
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", command, err)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %s", command, bytes.TrimSpace(answer))
	case resp.Trailer.Get("X-Stream-Error") != "":
		return nil, fmt.Errorf("%s: %s", command, resp.Trailer.Get("X-Stream-Error"))
	}
	return answer, nil
}

// identity is who the daemon is.
type identity struct {
	ID        string
	PublicKey []byte
	Addresses []string
}

func (d *daemon) identity(ctx context.Context) (identity, error) {
	var id identity
	raw, err := d.call(ctx, "id", nil)
	if err == nil {
		err = json.Unmarshal(raw, &id)
	}
	if err == nil && len(id.loopback()) == 0 {
		err = errors.New("not listening yet")
	}
	return id, err
}

// loopback are the addresses over TCP.
func (id identity) loopback() []string {
	return slices.DeleteFunc(slices.Clone(id.Addresses), func(a string) bool { return !strings.HasPrefix(a, "/ip4/127.0.0.1/tcp/") })
}
