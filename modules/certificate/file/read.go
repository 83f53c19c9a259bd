// SPDX-License-Identifier: Apache-2.0 OR MIT

package file

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/xnode-p2p/xnode/core/secretfile"
)

// maxSize bounds a file, in bytes.
const maxSize = 1 << 20

// stamp tells whether the files are the ones they were. It is comparable.
type stamp struct{ cert, key fileStamp }

type fileStamp struct {
	size     int64
	modified time.Time
	number   uint64 // of the file on its disk, where the system has such numbers
}

func (f *File) stampLocked() (s stamp, err error) {
	if s.cert, err = stampOf(f.certPath); err != nil {
		return s, err
	}
	s.key, err = stampOf(f.keyPath)
	return s, err
}

func stampOf(path string) (fileStamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}, err
	}
	return fileStamp{info.Size(), info.ModTime(), numberOf(info)}, nil
}

// read loads the pair and checks that it can be used at a time.
func (f *File) read(now time.Time) (*tls.Certificate, error) {
	cert, err := readFile(f.certPath)
	if err != nil {
		return nil, err
	}
	// A link to the key may be anybody's.
	key, err := secretfile.Read(f.keyPath, secretfile.Options{Limit: maxSize, Readable: f.AllowReadable, Link: true})
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: not a certificate and its key: %w", f.certPath, f.keyPath, err)
	}
	switch leaf := pair.Leaf; {
	case now.Before(leaf.NotBefore):
		return nil, fmt.Errorf("%s: the certificate is not valid before %s: look at the clock of the machine", f.certPath, leaf.NotBefore)
	case now.After(leaf.NotAfter):
		return nil, fmt.Errorf("%s: the certificate has ended at %s: renew it", f.certPath, leaf.NotAfter)
	}
	return &pair, nil
}

// readFile reads a file that is no secret.
func readFile(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|nonBlocking, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: run as the user to whom the file belongs", err)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is not a regular file, but %v", path, info.Mode())
	case info.Size() > maxSize:
		return nil, fmt.Errorf("%s: %d bytes, limit %d", path, info.Size(), maxSize)
	}
	return io.ReadAll(io.LimitReader(file, maxSize))
}
