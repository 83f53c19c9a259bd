// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"errors"
	"regexp"
	"strings"
)

// Errors name the path first and the cause last, "transports: tcp: backlog:
// must be positive", so the place in the document can be read off them. In
// between stand words that Caddy adds.
var (
	engineWords = regexp.MustCompile(`^(loading new config|loading [\w.]+ app module|provision [\w.]+|[\w.]+: invalid configuration|decoding module config: [\w.]+|[\w.]+ app module: start): `)
	pathStep    = regexp.MustCompile(`^([\w@/-]+): `)
)

// Locate finds the places that an error from loading the document speaks of.
// Every line of it becomes an [*Error].
func (d *Document) Locate(err error) error {
	var located []error
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			located = append(located, d.locateLine(line))
		}
	}
	return errors.Join(located...)
}

func (d *Document) locateLine(text string) *Error {
	at, pointer := d.root, ""
	if app := d.root.member("apps"); app != nil && app.member("xnode") != nil {
		at, pointer = app.member("xnode"), "/apps/xnode"
	}
	for {
		if words := engineWords.FindString(text); words != "" {
			text = text[len(words):]
			continue
		}
		step := pathStep.FindStringSubmatch(text)
		if step == nil {
			break
		}
		next, path := follow(at, pointer, step[1])
		if next == nil {
			break
		}
		at, pointer, text = next, path, text[len(step[0]):]
	}
	problem, remedy := splitRemedy(text)
	return d.errorAt(pointer, at.from, problem, remedy)
}

// follow takes the steps of a path such as "listen/0"; next is nil if there is
// no such value.
func follow(at *value, pointer, path string) (next *value, newPointer string) {
	for step := range strings.SplitSeq(path, "/") {
		if at = at.child(step); at == nil {
			return nil, ""
		}
		pointer += "/" + escape(step)
	}
	return at, pointer
}
