// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Errors name the path first and the cause last, "transports: tcp: backlog:
// must be positive", so the place in the document can be read off them. In
// between stand words that Caddy adds.
var (
	engineWords = regexp.MustCompile(`^(loading new config|loading [\w.]+ app module|provision [\w.]+|[\w.]+: invalid configuration|decoding module config: [\w.]+|[\w.]+ app module: start|start): `)
	pathStep    = regexp.MustCompile(`^([\w@/-]+): `)
	// A key and its value: "keepalive 1ms: want 1s to 9h".
	valueStep = regexp.MustCompile(`^(\w+) (\S+: want .*)$`)
	// The first line of a goroutine's trace.
	stackBegin = regexp.MustCompile(`^goroutine \d+ \[`)
	listenStep = regexp.MustCompile(`^listen (/\S*): `)
)

// elsewhere are the beginnings of errors that concern another part of the
// document than the node.
var elsewhere = []struct{ words, key string }{
	{"starting caddy administration endpoint: ", "admin"},
	{"provisioning remote admin endpoint: ", "admin"},
	{"setting up ", "logging"},
	{"loading storage module: ", "storage"},
	{"creating storage value: ", "storage"},
}

// Locate finds the places that an error from loading the document speaks of.
// Every line of it becomes an [*Error].
func (d *Document) Locate(err error) error {
	var located []error
	var section place // that of the line before
	stack := false    // within the trace of a goroutine, which concerns nobody here
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case stackBegin.MatchString(line):
			stack = true
		case !stack || pathStep.MatchString(line):
			stack = false
			located = append(located, d.locateLine(line, &section))
		}
	}
	slices.SortStableFunc(located, func(a, b error) int {
		x, y := a.(*Error), b.(*Error)
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column), cmp.Compare(x.Problem, y.Problem))
	})
	return errors.Join(located...)
}

// place is a value of the document and the pointer to it.
type place struct {
	*value
	pointer string
}

// locateLine finds the place of one line. Of several errors that a section has
// joined only the first line names the section, so the others go on from there.
func (d *Document) locateLine(text string, section *place) *Error {
	text = strings.TrimPrefix(text, "loading new config: ")
	at := place{d.root, ""}
	for _, e := range elsewhere {
		if strings.HasPrefix(text, e.words) {
			at.enter(e.key)
			return d.problemAt(at, text)
		}
	}
	for _, key := range []string{"apps", "xnode"} {
		at.enter(key)
	}
	top, listened := at, ""
	for {
		if words := engineWords.FindString(text); words != "" {
			text = text[len(words):]
			continue
		}
		if m := listenStep.FindStringSubmatch(text); m != nil && (at == top || m[1] == listened) {
			if listened == "" {
				at.enterListen(m[1])
			}
			listened, text = m[1], text[len(m[0]):]
			if at.pointer == top.pointer {
				text = m[0] + text // the address is a default: the document does not say it
				break
			}
			continue
		}
		if m := valueStep.FindStringSubmatch(text); m != nil && at.enter(m[1]) {
			text = m[2]
			continue
		}
		step := pathStep.FindStringSubmatch(text)
		if step == nil {
			break
		}
		first, inSection := at == top, *section
		switch {
		case at.follow(step[1]):
		case first && at.enterModule(step[1]):
		case first && inSection.value != nil && inSection.follow(step[1]):
			at = inSection
		case first && inSection.value != nil:
			return d.problemAt(inSection, text)
		default:
			return d.problemAt(at, text)
		}
		if first && at.kind == json.Delim('{') {
			*section = at
		}
		text = text[len(step[0]):]
	}
	return d.problemAt(at, text)
}

// problemAt makes an Error of what is left of a text.
func (d *Document) problemAt(at place, text string) *Error {
	problem, remedy := splitRemedy(text)
	if before, after, ok := strings.Cut(problem, ": write "); ok && remedy == "" {
		problem, remedy = before, "write "+after
	}
	if remedy == "" {
		remedy = remedyFor(problem)
	}
	return d.errorAt(at.pointer, at.from, problem, remedy)
}

// enter goes to the value of a key, if there is one.
func (p *place) enter(key string) bool {
	next := p.child(key)
	if next == nil {
		return false
	}
	*p = place{next, p.pointer + "/" + escape(key)}
	return true
}

// follow takes the steps of a path such as "listen/0", or none of them. The
// name of the module in an inline entry is a step that leads nowhere.
func (p *place) follow(path string) bool {
	if name := p.member(inlineKey); name != nil && name.kind == json.Token(path) {
		return true
	}
	next := *p
	for step := range strings.SplitSeq(path, "/") {
		if !next.enter(step) {
			return false
		}
	}
	*p = next
	return true
}

// enterModule goes to the module of a name, if just one section has it.
func (p *place) enterModule(name string) bool {
	var found []place
	for _, section := range p.members {
		next := place{section.value, p.pointer + "/" + escape(section.key)}
		if section.kind == json.Delim('{') && next.enter(name) && next.kind == json.Delim('{') {
			found = append(found, next)
		}
	}
	if len(found) != 1 {
		return false
	}
	*p = found[0]
	return true
}

// enterListen goes to the entry of the listen section that has an address; if
// none has it, because of placeholders, to the section.
func (p *place) enterListen(addr string) {
	if !p.enter("listen") {
		return
	}
	for i, item := range p.items {
		if item.kind == json.Token(addr) {
			*p = place{item, fmt.Sprintf("%s/%d", p.pointer, i)}
			return
		}
	}
}
