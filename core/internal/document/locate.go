// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Errors name the path first and the cause last, "transports: tcp: backlog:
// must be positive", so the place in the document can be read off them. In
// between stand words that Caddy adds.
var (
	engineWords = regexp.MustCompile(`^(loading new config|loading [\w.]+ app module|provision [\w.]+|[\w.]+: invalid configuration|decoding module config: [\w.]+|[\w.]+ app module: start|start): `)
	pathStep    = regexp.MustCompile(`^([\w@/-]+): `)
	listenStep  = regexp.MustCompile(`^listen (/\S*): `)
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

// remedies are for errors of the operating system, which do not bring any.
var remedies = []struct{ problem, remedy string }{
	{"address already in use", "stop the program that uses the port (ss -ltnp names it), or choose another one"},
	{"cannot assign requested address", "listen on an address that this machine has, or on 0.0.0.0 for all of them"},
	{"permission denied", "choose a place, or a port above 1023, that this user may use"},
	{"invalid argument", "a unix socket's path has at most 107 bytes: choose a shorter one"},
}

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

// place is a value of the document and the pointer to it.
type place struct {
	*value
	pointer string
}

func (d *Document) locateLine(text string) *Error {
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
		step := pathStep.FindStringSubmatch(text)
		if step == nil || !at.follow(step[1]) && !(at == top && at.enterModule(step[1])) {
			break
		}
		text = text[len(step[0]):]
	}
	return d.problemAt(at, text)
}

// problemAt makes an Error of what is left of a text.
func (d *Document) problemAt(at place, text string) *Error {
	problem, remedy := splitRemedy(text)
	for _, r := range remedies {
		if remedy == "" && strings.Contains(problem, r.problem) {
			remedy = r.remedy
		}
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
