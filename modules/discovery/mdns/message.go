// SPDX-License-Identifier: Apache-2.0 OR MIT

package mdns

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// The bounds of what is read of a packet.
const (
	maxPacket    = 9000 // bytes, RFC 6762 section 17
	maxQuestions = 32
	maxRecords   = 128 // in all sections together
	maxInstances = 16  // peers
	maxTexts     = 64  // strings of TXT records
)

// maxText bounds a string of a TXT record, in bytes.
const maxText = 255

const (
	metaService = "_services._dns-sd._udp.local."
	// unicastBit of a question's class asks for a unicast answer, that of a
	// record's says that it is the only one of its name and type.
	unicastBit = 1 << 15
)

var errNotMDNS = errors.New("not a message of multicast DNS")

// wants are the records that a question asks for.
type wants uint8

const (
	wantPTR wants = 1 << iota
	wantMeta
	wantSRV
	wantTXT
	wantA
	wantAAAA
)

// names are the DNS names of a node, with a dot at the end.
type names struct {
	service  string // _p2p._udp.local.
	instance string // <peer-name>.<service>
	host     string // <peer-name>.p2p.local.
}

// query is a question that concerns the node.
type query struct {
	id      uint16
	wants   wants
	unicast bool
	// first is the question itself, which a legacy querier wants to see again.
	first dnsmessage.Question
}

// instance is what an answer says of one peer.
type instance struct {
	name  string // lower case
	ttl   time.Duration
	bye   bool
	texts []string // at most maxTexts in all instances of a packet
}

// message is what of a packet concerns the node: it is a query or an answer.
type message struct {
	query     query      // nothing is wanted if it is none
	instances []instance // at most maxInstances
}

// parse reads a packet. Of what is malformed it keeps what came before.
func parse(b []byte, n names) (m message, err error) {
	if len(b) > maxPacket {
		return m, errNotMDNS
	}
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil {
		return m, err
	}
	if h.OpCode != 0 || h.RCode != 0 || h.Truncated && h.Response {
		return m, errNotMDNS
	}
	if !h.Response {
		return parseQuery(&p, h.ID, n)
	}
	return parseAnswer(&p, n)
}

func parseQuery(p *dnsmessage.Parser, id uint16, n names) (m message, err error) {
	q := query{id: id}
	for range maxQuestions {
		question, err := p.Question()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return m, err
		}
		w := n.asked(question)
		if w == 0 {
			continue
		}
		if q.wants == 0 {
			q.first = question
		}
		q.wants |= w
		q.unicast = q.unicast || question.Class&unicastBit != 0
	}
	return message{query: q}, nil
}

// asked tells what a question asks of the node.
func (n names) asked(q dnsmessage.Question) wants {
	if class := q.Class &^ unicastBit; class != dnsmessage.ClassINET && class != dnsmessage.ClassANY {
		return 0
	}
	is := func(t dnsmessage.Type, w wants) wants {
		if q.Type == t || q.Type == dnsmessage.TypeALL {
			return w
		}
		return 0
	}
	switch name := q.Name.String(); {
	case strings.EqualFold(name, n.service):
		return is(dnsmessage.TypePTR, wantPTR)
	case strings.EqualFold(name, metaService):
		return is(dnsmessage.TypePTR, wantMeta)
	case strings.EqualFold(name, n.instance):
		return is(dnsmessage.TypeSRV, wantSRV) | is(dnsmessage.TypeTXT, wantTXT)
	case strings.EqualFold(name, n.host):
		return is(dnsmessage.TypeA, wantA) | is(dnsmessage.TypeAAAA, wantAAAA)
	}
	return 0
}

// parseAnswer takes the peers out of all sections: they do not all put the
// same records into the same ones.
func parseAnswer(p *dnsmessage.Parser, n names) (m message, err error) {
	if err := p.SkipAllQuestions(); err != nil {
		return m, err
	}
	texts := maxTexts
	// at returns what a name stands for, from now on an instance if a PTR record of
	// the service says so, or the name does: rust-libp2p's end without the service.
	at := func(name string, named bool) *instance {
		name = strings.ToLower(name)
		for i := range m.instances {
			if m.instances[i].name == name {
				return &m.instances[i]
			}
		}
		label, of := strings.CutSuffix(name, "."+n.service)
		if label == "" || name == "." || name == n.service || !of && !named || len(m.instances) == maxInstances {
			return nil
		}
		m.instances = append(m.instances, instance{name: name})
		return &m.instances[len(m.instances)-1]
	}
	section := 0
	sections := []func() (dnsmessage.ResourceHeader, error){p.AnswerHeader, p.AuthorityHeader, p.AdditionalHeader}
	skip := []func() error{p.SkipAnswer, p.SkipAuthority, p.SkipAdditional}
	for range maxRecords {
		h, err := sections[section]()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			if section++; section == len(sections) {
				return m, nil
			}
			continue
		}
		if err != nil {
			return m, err
		}
		ttl := time.Duration(h.TTL) * time.Second
		switch {
		case h.Class&^unicastBit != dnsmessage.ClassINET:
			err = skip[section]()
		case h.Type == dnsmessage.TypePTR && strings.EqualFold(h.Name.String(), n.service):
			var r dnsmessage.PTRResource
			if r, err = p.PTRResource(); err != nil {
				break
			}
			if i := at(r.PTR.String(), true); i != nil {
				i.ttl, i.bye = ttl, ttl == 0
			}
		case h.Type == dnsmessage.TypeTXT:
			var r dnsmessage.TXTResource
			if r, err = p.TXTResource(); err != nil {
				break
			}
			i := at(h.Name.String(), false)
			for _, t := range r.TXT {
				if i != nil && texts > 0 {
					texts--
					i.texts = append(i.texts, t)
					i.ttl = max(i.ttl, ttl)
				}
			}
		default:
			err = skip[section]()
		}
		if err != nil {
			return m, err
		}
	}
	return m, nil
}

// answer describes a packet to send.
type answer struct {
	wants wants
	ttl   time.Duration
	legacy
	own *own
}

// legacy is what an answer repeats of a question that came from another port
// than that of multicast DNS: for a resolver that knows only unicast DNS.
type legacy struct {
	id       uint16
	question *dnsmessage.Question
}

// own is what a node tells on one link.
type own struct {
	texts  []string // the best first
	ip4    [][4]byte
	ip6    [][16]byte
	anyone bool // there is something to tell
}

// build makes the packet of an answer: what is asked for in the answer section
// and, with the name of a peer, all the rest about it in the additional one.
func (n names) build(a answer) ([]byte, error) {
	b := dnsmessage.NewBuilder(make([]byte, 0, 1500), dnsmessage.Header{ID: a.id, Response: true, Authoritative: true})
	b.EnableCompression()
	if a.question != nil {
		q := *a.question
		q.Class &^= unicastBit
		if err := errors.Join(b.StartQuestions(), b.Question(q)); err != nil {
			return nil, err
		}
	}
	r := &records{b: &b, n: n, a: a}
	if err := b.StartAnswers(); err != nil {
		return nil, err
	}
	r.add(a.wants)
	if err := b.StartAdditionals(); err != nil {
		return nil, err
	}
	switch {
	case a.wants&wantPTR != 0:
		r.add((wantSRV | wantTXT | wantA | wantAAAA) &^ a.wants)
	case a.wants&wantSRV != 0:
		r.add((wantA | wantAAAA) &^ a.wants)
	}
	if r.err != nil {
		return nil, r.err
	}
	return b.Finish()
}

// records adds records to a packet.
type records struct {
	b   *dnsmessage.Builder
	n   names
	a   answer
	err error
}

func (r *records) name(text string) dnsmessage.Name {
	name, err := dnsmessage.NewName(text)
	r.note(err)
	return name
}

func (r *records) note(err error) {
	if r.err == nil {
		r.err = err
	}
}

// header is that of a record; unique says that nobody else has one like it.
func (r *records) header(name string, unique bool) dnsmessage.ResourceHeader {
	h := dnsmessage.ResourceHeader{Name: r.name(name), Class: dnsmessage.ClassINET, TTL: uint32(r.a.ttl / time.Second)}
	if unique && r.a.question == nil {
		h.Class |= unicastBit
	}
	return h
}

func (r *records) add(w wants) {
	n := r.n
	if w&wantPTR != 0 {
		r.note(r.b.PTRResource(r.header(n.service, false), dnsmessage.PTRResource{PTR: r.name(n.instance)}))
	}
	if w&wantMeta != 0 {
		r.note(r.b.PTRResource(r.header(metaService, false), dnsmessage.PTRResource{PTR: r.name(n.service)}))
	}
	if w&wantTXT != 0 {
		r.note(r.b.TXTResource(r.header(n.instance, true), dnsmessage.TXTResource{TXT: r.a.own.texts}))
	}
	if w&wantSRV != 0 {
		// Nobody uses the port: the addresses have their own.
		r.note(r.b.SRVResource(r.header(n.instance, true), dnsmessage.SRVResource{Port: port, Target: r.name(n.host)}))
	}
	if w&wantA != 0 {
		for _, ip := range r.a.own.ip4 {
			r.note(r.b.AResource(r.header(n.host, true), dnsmessage.AResource{A: ip}))
		}
	}
	if w&wantAAAA != 0 {
		for _, ip := range r.a.own.ip6 {
			r.note(r.b.AAAAResource(r.header(n.host, true), dnsmessage.AAAAResource{AAAA: ip}))
		}
	}
}

// question is the packet that asks for all peers.
func (n names) question() []byte {
	b := make([]byte, 12, 64)
	binary.BigEndian.PutUint16(b[4:], 1) // one question
	for label := range strings.SplitSeq(strings.TrimSuffix(n.service, "."), ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0, 0, byte(dnsmessage.TypePTR), 0, byte(dnsmessage.ClassINET))
}
