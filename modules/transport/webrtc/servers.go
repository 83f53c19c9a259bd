// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pion/stun/v4"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/secretfile"
)

const (
	// maxServers bounds the servers of either sort.
	maxServers = 8
	// maxSecret bounds a file with a password, in bytes.
	maxSecret = 4 << 10
)

// TURN is a server that relays packets for those who reach each other in no other
// way. It sees who talks to whom, and nothing of what is said.
type TURN struct {
	// URL is the server's, such as "turn:turn.example.org:3478" or
	// "turns:turn.example.org:5349?transport=tcp". Placeholders are replaced.
	URL string `json:"url"`
	// Username is the node's name there. Placeholders are replaced.
	Username string `json:"username"`
	// PasswordFile is the path of a file with the password, which nobody else
	// may read. Placeholders are replaced. The file is read when the node
	// starts.
	PasswordFile string `json:"password_file"`
	// AllowReadable accepts a file that others can read, that is a symbolic
	// link, or that belongs to another user, as the files of mounted secrets
	// do. Default: false.
	AllowReadable bool `json:"allow_readable,omitempty"`

	uri  *stun.URI
	path string
}

// servers are those that the ICE agents ask.
type servers struct {
	all  []*stun.URI // with the passwords
	turn bool
}

// parseSTUN reads an entry of the list of STUN servers.
func parseSTUN(text string) (*stun.URI, error) {
	u, err := parseServer(text)
	if err == nil && u.Scheme != stun.SchemeTypeSTUN {
		err = fmt.Errorf("%q is of another kind", text)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; an example is stun:stun.example.org:3478", err)
	}
	return u, nil
}

func parseServer(text string) (*stun.URI, error) {
	text, err := core.Expand(text)
	if err != nil {
		return nil, err
	}
	u, err := stun.ParseURI(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	return u, nil
}

func (s *TURN) provision() (err error) {
	if s.uri, err = parseServer(s.URL); err == nil && s.uri.Scheme != stun.SchemeTypeTURN && s.uri.Scheme != stun.SchemeTypeTURNS {
		err = fmt.Errorf("%q is of another kind", s.URL)
	}
	if err != nil {
		return fmt.Errorf("url: %w; an example is turn:turn.example.org:3478", err)
	}
	if s.uri.Username, err = core.Expand(s.Username); err != nil {
		return fmt.Errorf("username: %w", err)
	}
	if s.path, err = core.Expand(s.PasswordFile); err != nil {
		return fmt.Errorf("password_file: %w", err)
	}
	switch {
	case s.uri.Username == "":
		return errors.New("username: it is missing; every TURN server wants one")
	case s.path == "":
		return errors.New("password_file: it is missing; put the password into a file that nobody else may read")
	}
	return nil
}

// load returns the server with the password.
func (s *TURN) load() (*stun.URI, error) {
	b, err := secretfile.Read(s.path, secretfile.Options{Limit: maxSecret, Readable: s.AllowReadable, Link: s.AllowReadable})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no such file: put the password for %s there: %w", s.path, s.uri.Host, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	u := *s.uri
	if u.Password = string(bytes.TrimRight(b, "\r\n")); u.Password == "" {
		return nil, fmt.Errorf("%s: the file is empty; put the password for %s there", s.path, s.uri.Host)
	}
	return &u, nil
}
