// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

const (
	maxReply      = 64 << 10 // bytes of one string in a reply
	maxReplyDepth = 4        // arrays within arrays
	redisRetry    = 200 * time.Millisecond
)

// redis is a connection to a Redis server: as much of its protocol, RESP2, as
// the public test suites need.
//
// Specification: https://redis.io/docs/latest/develop/reference/protocol-spec/
type redis struct {
	net.Conn
	in *bufio.Reader
}

// dialRedis connects to a server, which may not be up yet, until ctx ends.
func dialRedis(ctx context.Context, addr string) (*redis, error) {
	retry := time.NewTicker(redisRetry)
	defer retry.Stop()
	for {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			return &redis{conn, bufio.NewReader(conn)}, nil
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("redis: %w", err)
		}
	}
}

// blpop waits for the first element of a list and removes it.
func (r *redis) blpop(ctx context.Context, key string) (string, error) {
	reply, err := r.do(ctx, "BLPOP", key, "0") // ctx bounds the wait
	if err != nil {
		return "", err
	}
	if pair, ok := reply.([]any); ok && len(pair) == 2 {
		if value, ok := pair[1].(string); ok {
			return value, nil
		}
	}
	return "", fmt.Errorf("redis BLPOP %s: unexpected reply %v", key, reply)
}

// await returns the value of a key once there is one.
func (r *redis) await(ctx context.Context, key string) (string, error) {
	retry := time.NewTicker(redisRetry)
	defer retry.Stop()
	for {
		reply, err := r.do(ctx, "GET", key)
		if err != nil {
			return "", err
		}
		if value, ok := reply.(string); ok && value != "" {
			return value, nil
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return "", fmt.Errorf("redis GET %s: %w", key, context.Cause(ctx))
		}
	}
}

// do sends a command and returns the reply: a string, an int64, a []any of
// such, or nil.
func (r *redis) do(ctx context.Context, args ...string) (any, error) {
	stop := context.AfterFunc(ctx, func() { r.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	_, err := r.Write(b)
	var reply any
	if err == nil {
		reply, err = readReply(r.in, maxReplyDepth)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("redis %s: %w", args[0], err)
	}
	return reply, nil
}

var errReply = errors.New("malformed reply")

// readReply reads one reply. An error reply of the server is an error.
func readReply(r *bufio.Reader, depth int) (any, error) {
	line, err := r.ReadSlice('\n') // bounded by the reader's buffer
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' || depth == 0 {
		return nil, errReply
	}
	kind, text := line[0], string(line[1:len(line)-2])
	switch kind {
	case '+':
		return text, nil
	case '-':
		return nil, errors.New(text)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, errReply
	}
	switch {
	case kind == ':':
		return n, nil
	case n == -1 && (kind == '$' || kind == '*'):
		return nil, nil
	case n < 0 || n > maxReply:
		return nil, errReply
	case kind == '$':
		b := make([]byte, n+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		if string(b[n:]) != "\r\n" {
			return nil, errReply
		}
		return string(b[:n]), nil
	case kind == '*':
		list := []any{}
		for range n {
			item, err := readReply(r, depth-1)
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		return list, nil
	}
	return nil, errReply
}
