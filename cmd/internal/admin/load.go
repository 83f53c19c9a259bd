// SPDX-License-Identifier: Apache-2.0 OR MIT

package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/xnode-p2p/xnode/core/host"
)

// SourceHeader names the file that a loaded document is from.
const SourceHeader = "Xnode-Source"

// process is the configuration of this process: Caddy keeps one.
var process config

// config is how the running configuration changes: one load at a time.
type config struct {
	mu     sync.Mutex
	source string // the file of the last document; empty if it has none
	saved  string // where it is saved; empty for nowhere

	running []byte // the last document that was loaded
}

// Prepare makes Caddy keep its files in a folder and serve the admin endpoint
// at an address, unless a document says otherwise. Call it before [Load].
func Prepare(dir, address string) {
	process.mu.Lock()
	defer process.mu.Unlock()
	process.saved = SavedPath(dir)
	// Caddy writes the file in place. So it gets another name, and takes the
	// right one when it is complete and on disk.
	caddy.ConfigAutosavePath = process.unsaved()
	caddy.DefaultStorage.Path = filepath.Join(dir, "storage")
	caddy.DefaultAdminListen = address
}

// SavedPath is where the last good configuration is kept.
func SavedPath(dir string) string { return filepath.Join(dir, "autosave.json") }

func (c *config) unsaved() string { return c.saved + ".new" }

// Load makes a document the running configuration, and keeps a copy of it. The
// source is the file it is from, or empty.
func Load(text []byte, source string, force bool) error {
	process.mu.Lock()
	defer process.mu.Unlock()
	if err := process.load(text, force); err != nil {
		return err
	}
	process.source = source
	return nil
}

// load loads a document. The caller holds mu.
func (c *config) load(text []byte, force bool) error {
	if c.saved != "" {
		_ = os.Remove(c.unsaved()) // what a process that died has left
	}
	if err := host.LoadDocument(text, force); err != nil {
		return errors.Join(err, c.restore(text))
	}
	c.running = text
	if c.saved == "" {
		return nil
	}
	if err := publish(c.unsaved(), c.saved); err != nil {
		caddy.Log().Error("the configuration runs, but is not saved for --resume", zap.Error(err))
	}
	return nil
}

// restore undoes what Caddy leaves changed when a document fails: its admin
// endpoint and its logs are set up before the rest, and stay.
func (c *config) restore(failed []byte) error {
	if c.running == nil || bytes.Equal(engineOf(failed), engineOf(c.running)) {
		return nil
	}
	err := host.LoadDocument(c.running, true)
	_ = os.Remove(c.unsaved()) // it is saved already
	if err != nil {
		return fmt.Errorf("the configuration from before cannot be restored: %w", err)
	}
	return nil
}

// engineOf is the part of a document that concerns Caddy itself.
func engineOf(text []byte) []byte {
	var d struct {
		Admin   json.RawMessage `json:"admin"`
		Logging json.RawMessage `json:"logging"`
	}
	if json.Unmarshal(text, &d) != nil {
		return nil
	}
	return append(append(d.Admin, 0), d.Logging...)
}

// publish gives a file its final name once its content is on disk. Without a
// file there is nothing to do: the configuration did not change, or says that
// it is not to be kept.
func publish(from, to string) error {
	f, err := os.OpenFile(from, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	_ = dir.Sync() // not every system can sync a folder
	return dir.Close()
}

// Reload loads the file of the last document again.
func Reload(force bool) error {
	process.mu.Lock()
	defer process.mu.Unlock()
	if process.source == "" {
		return errors.New("the running configuration is from no file: name one with -c FILE")
	}
	text, err := ReadDocument(process.source)
	if err != nil {
		return err
	}
	return process.load(text, force)
}

// Source is the file of the last document.
func Source() string {
	process.mu.Lock()
	defer process.mu.Unlock()
	return process.source
}

// ReadDocument reads a document; one that is too large is read only so far that
// its check refuses it.
func ReadDocument(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	return readLimited(f)
}

// Failure is the answer to a document that is refused.
type Failure struct {
	Error string `json:"error"`
	// File is the file on the node's machine that the mistakes are in, if the
	// document was not in the request.
	File     string          `json:"file,omitempty"`
	Mistakes []*host.Mistake `json:"mistakes"`
}

func serveLoad(w http.ResponseWriter, r *http.Request) error {
	force := strings.Contains(r.Header.Get("Cache-Control"), "must-revalidate")
	text, err := readBody(r)
	if err != nil {
		return err
	}
	source, err := "", error(nil)
	if len(text) == 0 {
		source = Source()
		if err = Reload(force); err != nil && source == "" {
			return fail(http.StatusBadRequest, err)
		}
	} else {
		from := r.Header.Get(SourceHeader)
		if err = Load(text, from, force); err == nil {
			caddy.ClearLastConfigIfDifferent(from, "")
		}
	}
	if err != nil {
		return refuse(w, err, source)
	}
	return reply(w, http.StatusOK, struct{}{})
}

// refuse answers with the mistakes of a document. The log has them too.
func refuse(w http.ResponseWriter, err error, file string) error {
	caddy.Log().Named("admin.api").Error("document refused", zap.Error(err))
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if file != "" {
		text = fmt.Sprintf("%s: %s", file, text)
	}
	return reply(w, http.StatusBadRequest, Failure{text, file, host.Mistakes(err)})
}

// readLimited reads a little more than the largest document.
func readLimited(r io.Reader) ([]byte, error) {
	return io.ReadAll(io.LimitReader(r, maxBody+1))
}
