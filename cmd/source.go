// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	_ "embed"
	"encoding/json"
	"io"
	"os"
	"path/filepath"

	"github.com/xnode-p2p/xnode/cmd/internal/admin"
	"github.com/xnode-p2p/xnode/core"
)

//go:embed default.json
var defaultDocument []byte

const (
	// builtIn is the name of the default document in errors.
	builtIn = "(built-in configuration)"
	// standardInput is that of a document from standard input.
	standardInput = "(standard input)"
	// maxDocument is how much of standard input is read, in bytes; whatever
	// is larger is refused.
	maxDocument = 16<<20 + 1
)

// source is a document and where it is from.
type source struct {
	// name is what errors call it.
	name string
	// file is its absolute path; empty if it is in no file.
	file string
	text []byte
	// read is the file's stamp from before it was read.
	read stamp
}

// read gets the document that a -c flag names: a file, "-" for standard input,
// or nothing for the default one.
func (c *cli) read(path string) (source, error) {
	switch path {
	case "":
		return source{name: builtIn, text: defaultDocument}, nil
	case "-":
		text, err := io.ReadAll(io.LimitReader(c.in, maxDocument))
		return source{name: standardInput, text: text}, err
	}
	read, _ := stampOf(path) // if there is none, there is nothing to read either
	text, err := admin.ReadDocument(path)
	if err != nil {
		return source{}, err
	}
	file, err := filepath.Abs(path)
	return source{path, file, text, read}, err
}

// dataDir is the absolute path of the data folder.
func dataDir() (string, error) { return filepath.Abs(core.DataDir()) }

// maxSocket is how long the path of a unix socket may be on every system.
const maxSocket = 103

// adminAddress is where the admin endpoint is: what the flag or else
// $XNODE_ADMIN says, or a socket in the data folder that only its user can use.
func (c *cli) adminAddress() (string, error) {
	if c.admin != "" {
		return c.admin, nil
	}
	if address := os.Getenv("XNODE_ADMIN"); address != "" {
		return address, nil
	}
	dir, err := dataDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "admin.sock")
	if len(path) > maxSocket {
		return "", &longPathError{path}
	}
	return "unix/" + path + "|0600", nil
}

// longPathError means that the data folder is too deep for a socket in it.
type longPathError struct{ path string }

// Error implements error.
func (e *longPathError) Error() string {
	return e.path + ": too long for a unix socket; set XNODE_DATA to a shorter folder, or XNODE_ADMIN to an address such as unix//tmp/xnode.sock|0600"
}

// adminSection is the part of a document that says where its admin endpoint is.
type adminSection struct {
	Admin struct {
		Disabled bool   `json:"disabled"`
		Listen   string `json:"listen"`
	} `json:"admin"`
}

// adminOf reads that part; of a document that is no JSON it is empty.
func adminOf(text []byte) (s adminSection) {
	if json.Unmarshal(text, &s) != nil {
		return adminSection{}
	}
	return s
}
