// SPDX-License-Identifier: Apache-2.0 OR MIT

package multistream

import (
	"fmt"
	"io"
)

// Accept reads the proposals of the side that dialled and returns the first
// one for which find is true. Others are refused at once, at most 16 of them;
// so is the request for a list of protocols. Names given to find are as the
// remote sent them: any bytes, at most 1023.
//
// The agreed name is not sent back yet: it goes out in front of the first
// write, when a read would have to wait, or with [Stream.Flush]. The error is
// [io.EOF], wrapped, if the remote ended before it sent anything.
func (s *Stream) Accept(rw io.ReadWriter, find func(protocol string) bool) (string, error) {
	s.rw = rw
	s.inMu.Lock()
	defer s.inMu.Unlock()
	s.in = newInbox()
	protocol, err := s.choose(find)
	if err != nil {
		s.dropInbox()
		return "", fmt.Errorf("negotiate: %w", err)
	}
	s.protocol = protocol
	s.holdLeftover()
	s.todo.Or(unsent)
	return protocol, nil
}

// choose reads proposals until find accepts one.
func (s *Stream) choose(find func(string) bool) (string, error) {
	for !s.greeted {
		ok, err := s.in.takeHeader()
		if err != nil {
			return "", err
		}
		s.greeted = ok
		if !ok {
			if err := s.in.fill(s.rw); err != nil {
				return "", s.ended(err, "")
			}
		}
	}
	refused := ""
	for tries := 0; ; {
		text, ok, err := s.in.takeLine()
		if err != nil {
			return "", err
		}
		if !ok {
			// The remote may be waiting for the header before it proposes.
			if err := s.reply(nil); err != nil {
				return "", err
			}
			if err := s.in.fill(s.rw); err != nil {
				return "", s.ended(err, refused)
			}
			continue
		}
		if tries++; tries > maxTries {
			return "", fmt.Errorf("%w: %d, the last was %s", ErrTooManyTries, tries, shown(text))
		}
		if string(text) != list {
			if name := string(text); find(name) {
				return name, nil
			}
		}
		refused = shown(text)
		if err := s.reply(appendLine(nil, refusal)); err != nil {
			return "", err
		}
	}
}

// reply sends the header, if it is not out yet, and the line in one write.
func (s *Stream) reply(line []byte) error {
	if !s.headless {
		line = append([]byte(header), line...)
		s.headless = true
	}
	if len(line) == 0 {
		return nil
	}
	n, err := s.rw.Write(line)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	return err
}

// ended describes an error of a read between two lines or within one.
func (s *Stream) ended(err error, refused string) error {
	if err == io.EOF && (s.greeted || len(s.in.unread()) > 0) {
		err = io.ErrUnexpectedEOF
	}
	if refused != "" {
		return fmt.Errorf("refused %s: %w", refused, err)
	}
	return err
}
