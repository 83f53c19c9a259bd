// SPDX-License-Identifier: Apache-2.0 OR MIT

package autotls

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
)

// broker is one that follows the specification, with its DNS server. It does not
// dial the nodes, but remembers what addresses they have sent.
type broker struct {
	identity *coretest.Identity
	domain   string
	url, dns string
	begins   bool // it begins the handshake, whatever the client has sent

	mu        sync.Mutex
	fail      int // a status instead of a success; 0 for none
	silent    bool
	txt       map[string]string // by name
	addresses []string
	requests  int
	asked     func() // called for each question about DNS; may be nil
}

func newBroker(t *testing.T, r *roots, domain string) *broker {
	t.Helper()
	b := &broker{identity: coretest.NewIdentity(99), domain: domain, txt: map[string]string{}}
	b.url = r.serve(t, b) + "/v1/_acme-challenge"
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.dns = conn.LocalAddr().String()
	var serving sync.WaitGroup
	serving.Go(func() { b.serveDNS(conn) })
	t.Cleanup(func() {
		conn.Close()
		serving.Wait()
	})
	return b
}

// lookup is what the authority asks.
func (b *broker) lookup(name string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if v := b.txt[strings.ToLower(name)]; v != "" && !b.silent {
		return []string{v}
	}
	return nil
}

func (b *broker) serveDNS(conn net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		q := m.Questions[0]
		b.mu.Lock()
		asked := b.asked
		b.mu.Unlock()
		if asked != nil {
			asked()
		}
		m.Header.Response, m.Header.Authoritative, m.Additionals = true, true, nil
		for _, v := range b.lookup(q.Name.String()) {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
				Body:   &dnsmessage.TXTResource{TXT: []string{v}},
			})
		}
		if len(m.Answers) == 0 {
			m.Header.RCode = dnsmessage.RCodeNameError
		}
		if answer, err := m.Pack(); err == nil {
			_, _ = conn.WriteTo(answer, from)
		}
	}
}

var parameter = regexp.MustCompile(`([a-z-]+)="([^"]*)"`)

// toSign is what a signature over parameters, which come sorted, is made of.
func toSign(list ...string) []byte {
	b := []byte("libp2p-PeerID")
	for _, p := range list {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	return b
}

// ServeHTTP implements [http.Handler]: the server's part of the authentication.
func (b *broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests++
	if b.fail == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "3600")
		http.Error(w, "back soon", b.fail)
		return
	}
	p := map[string]string{}
	for _, m := range parameter.FindAllStringSubmatch(r.Header.Get("Authorization"), -1) {
		p[m[1]] = m[2]
	}
	encode := base64.URLEncoding.EncodeToString
	ownKey := peer.MarshalPublicKey(b.identity.PublicKey())
	host := r.TLS.ServerName
	const challenge = "a challenge of the broker"
	prove := func(key []byte) string {
		signature, _ := b.identity.Sign(toSign("challenge-server="+p["challenge-server"], "client-public-key="+string(key), "hostname="+host))
		return fmt.Sprintf(`sig="%s"`, encode(signature))
	}
	if p["sig"] == "" {
		head := fmt.Sprintf(`libp2p-PeerID challenge-client="%s", public-key="%s"`, challenge, encode(ownKey))
		opaque := "server"
		if key, err := base64.URLEncoding.DecodeString(p["public-key"]); err == nil && len(key) > 0 && !b.begins {
			head += ", " + prove(key)
			opaque = encode(key)
		}
		w.Header().Set("WWW-Authenticate", head+`, opaque="`+opaque+`"`)
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	encoded := p["opaque"]
	if encoded == "server" {
		encoded = p["public-key"]
	}
	key, _ := base64.URLEncoding.DecodeString(encoded)
	public, err := peer.UnmarshalPublicKey(key)
	signature, _ := base64.URLEncoding.DecodeString(p["sig"])
	if err != nil || !public.Verify(toSign("challenge-client="+challenge, "hostname="+host, "server-public-key="+string(ownKey)), signature) {
		http.Error(w, "you are not", http.StatusUnauthorized)
		return
	}
	info := `libp2p-PeerID bearer="dG9rZW4="`
	if b.begins {
		info = "libp2p-PeerID " + prove(key) + ` bearer="dG9rZW4="`
	}
	w.Header().Set("Authentication-Info", info)
	b.register(w, r, peer.FromPublicKey(public))
}

func (b *broker) register(w http.ResponseWriter, r *http.Request, id peer.ID) {
	var body struct {
		Value     string   `json:"value"`
		Addresses []string `json:"addresses"`
	}
	d := json.NewDecoder(io.LimitReader(r.Body, 1<<16))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" ||
		!strings.HasPrefix(r.UserAgent(), "xnode") {
		http.Error(w, fmt.Sprintf("bad request: %v", err), http.StatusBadRequest)
		return
	}
	if digest, err := base64.RawURLEncoding.DecodeString(body.Value); err != nil || len(digest) != 32 {
		http.Error(w, "value is no digest", http.StatusBadRequest)
		return
	}
	b.addresses = body.Addresses
	if b.fail != 0 {
		http.Error(w, "error testing addresses", b.fail)
		return
	}
	b.txt["_acme-challenge."+id.CID()+"."+b.domain+"."] = body.Value
}
