// SPDX-License-Identifier: Apache-2.0 OR MIT

package peeridauth

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
)

// The parameters of the specification's examples.
const (
	vectorHost            = "example.com"
	vectorChallengeClient = "ERERERERERERERERERERERERERERERERERERERERERE="
	vectorChallengeServer = "MzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMz"
	vectorServerKey       = "CAESIIqI4910CfGV_VLbLTy6XXLKZwm_HZQSG_N0iAG0D29c"
	vectorClientKey       = "CAESIIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU"
	vectorServerSig       = "HQ7BJRaSpRhNCORNiALNJENdwXUyq0eM2cxNoxe-XnQw6oEAMaeYnjMYaHHjgq0XNxZmy4W2ngKUcI1CgprLCQ=="
	vectorClientSig       = "OrwJPO4buHKJdKXP2av8PFwv3XF_-m5MqndskeVV5UzufYzBCTm7RBaFnBS1sEhuQHZSZPh9RJgN5NmLzrUrBQ=="
	vectorBearer          = "YhlYjHWTMOkTleROtjMiChL7Mx15_GDYfi971mdJCqB7ImlzLXRva2VuIjp0cnVlLCJwZWVyLWlkIjoiMTJEM0tvb1dKV29hcVpoRGFvRUZzaEY3UmgxYnBZOW9oaWhGaHpjVzZkNjlMcjJOQVN1cSIsImhvc3RuYW1lIjoiZXhhbXBsZS5jb20iLCJjcmVhdGVkLXRpbWUiOiIxOTY5LTEyLTMxVDE2OjAwOjAwLTA4OjAwIn0="
	vectorOpaque          = "1JrloFj6hobNG859qexB0_odSQlwsb1QSFUMebPJLFp7ImNsaWVudC1wdWJsaWMta2V5IjoiQ0FFU0lJRTVkdzZvZlJkZlZxTlVac05NZnN6TGpZcVJ0TzQzb2wzMkQxdVB5Yk9VIiwiY2hhbGxlbmdlLWNsaWVudCI6IkVSRVJFUkVSRVJFUkVSRVJFUkVSRVJFUkVSRVJFUkVSRVJFUkVSRVJFUkU9IiwiaG9zdG5hbWUiOiJleGFtcGxlLmNvbSIsImNyZWF0ZWQtdGltZSI6IjE5NjktMTItMzFUMTY6MDA6MDAtMDg6MDAifQ=="
)

func identity(b byte) *coretest.Identity {
	return coretest.IdentityOf(peer.Ed25519FromSeed([32]byte(bytes.Repeat([]byte{b}, 32))))
}

// script is a server that gives the answers of a test, in their order.
type script struct {
	answers []*http.Response
	got     []string // the Authorization of each request
	bodies  []string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	s.got, s.bodies = append(s.got, r.Method+" "+r.Header.Get("Authorization")), append(s.bodies, string(body))
	if len(s.answers) == 0 {
		return nil, errors.New("nobody is there")
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	a.Request = r
	return a, nil
}

func answer(code int, header, value, body string) *http.Response {
	return &http.Response{StatusCode: code, Header: http.Header{header: {value}}, Body: io.NopCloser(strings.NewReader(body))}
}

func newClient(s *script) *Client {
	return &Client{Identity: identity(2), URL: "https://" + vectorHost + "/v1/x", HTTP: &http.Client{Transport: s}}
}

// begin is a client whose challenge is that of the examples, after an answer.
func begin(t *testing.T, s *script, header string) (*Client, error) {
	t.Helper()
	c := newClient(s)
	h := &handshake{host: vectorHost, mine: vectorChallengeServer}
	p, err := find([]string{header})
	if err != nil {
		return c, err
	}
	c.handshake = h
	return c, h.hear(p, c.publicKey())
}

func TestSigned(t *testing.T) {
	key, err := decode(vectorClientKey)
	if err != nil {
		t.Fatal(err)
	}
	got := signed([2]string{hostname, vectorHost}, [2]string{clientPublicKey, string(key)}, [2]string{challengeServer, vectorChallengeClient})
	const want = "6c69627032702d5065657249443d6368616c6c656e67652d7365727665723d455245524552455245524552455245524552455245524552455245524552455245524552455245524552453d36636c69656e742d7075626c69632d6b65793d080112208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b39414686f73746e616d653d6578616d706c652e636f6d"
	if diff := cmp.Diff(want, hex.EncodeToString(got)); diff != "" {
		t.Errorf("signed bytes (-want +got):\n%s", diff)
	}
	b, err := identity(1).Sign(got)
	if want := "UA88qZbLUzmAxrD9KECbDCgSKAUBAvBHrOCF2X0uPLR1uUCF7qGfLPc7dw3Olo-LaFCDpk5sXN7TkLWPVvuXAA=="; err != nil || encode(b) != want {
		t.Errorf("signature %s, %v, want %s", encode(b), err, want)
	}
}

// TestClientInitiated is the specification's handshake that a client begins.
func TestClientInitiated(t *testing.T) {
	s := &script{answers: []*http.Response{answer(200, "Authentication-Info", `libp2p-PeerID bearer="`+vectorBearer+`"`, "")}}
	c, err := begin(t, s, `libp2p-PeerID challenge-client="`+vectorChallengeClient+`", public-key="`+vectorServerKey+`", sig="`+vectorServerSig+`", opaque="`+vectorOpaque+`"`)
	if err != nil || !c.handshake.proved {
		t.Fatal(err)
	}
	if err := c.Post(t.Context(), "text/plain", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	s.answers = []*http.Response{answer(204, "X", "", "")}
	if err := c.Hello(t.Context()); err != nil { // there is a token
		t.Fatal(err)
	}
	if err := c.Post(t.Context(), "text/plain", []byte("again")); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`POST libp2p-PeerID opaque="` + vectorOpaque + `", sig="` + vectorClientSig + `"`,
		`POST libp2p-PeerID bearer="` + vectorBearer + `"`,
	}
	if diff := cmp.Diff(want, s.got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"hello", "again"}, s.bodies); diff != "" {
		t.Errorf("bodies (-want +got):\n%s", diff)
	}
}

// TestServerInitiated is the specification's handshake that a server begins. Its
// example leaves out the server's key in the first answer, against its text:
// here it is there, as it is with the brokers that run.
func TestServerInitiated(t *testing.T) {
	s := &script{answers: []*http.Response{answer(200, "Authentication-Info", `libp2p-PeerID sig="`+vectorServerSig+`" bearer="`+vectorBearer+`"`, "")}}
	c, err := begin(t, s, `libp2p-PeerID challenge-client="`+vectorChallengeClient+`", public-key="`+vectorServerKey+`", opaque="b3BhcXVl"`)
	if err != nil || c.handshake.proved {
		t.Fatal(err)
	}
	if err := c.Post(t.Context(), "text/plain", nil); err != nil {
		t.Fatal(err)
	}
	want := []string{`POST libp2p-PeerID public-key="` + vectorClientKey + `", challenge-server="` + vectorChallengeServer + `", opaque="b3BhcXVl", sig="` + vectorClientSig + `"`}
	if diff := cmp.Diff(want, s.got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if c.token != vectorBearer {
		t.Errorf("the token is %q", c.token)
	}
}

// TestEvil_FirstAnswer has servers whose first answer is not to be believed.
func TestEvil_FirstAnswer(t *testing.T) {
	challenge := `challenge-client="` + vectorChallengeClient + `"`
	key := `public-key="` + vectorServerKey + `"`
	for name, tc := range map[string]struct{ header, want string }{
		"no key":              {`libp2p-PeerID ` + challenge, "does not tell its public key"},
		"no challenge":        {`libp2p-PeerID ` + key, "sets no challenge"},
		"a key that is none":  {`libp2p-PeerID ` + challenge + `, public-key="AAAA"`, "public-key: "},
		"not base64":          {`libp2p-PeerID ` + challenge + `, public-key="!"`, "public-key: malformed"},
		"signature of others": {`libp2p-PeerID ` + challenge + `, ` + key + `, sig="` + vectorClientSig + `"`, "signature is wrong"},
		"signature not b64":   {`libp2p-PeerID ` + challenge + `, ` + key + `, sig="*"`, "sig: malformed"},
		"quotes in the blob":  {`libp2p-PeerID ` + challenge + `, ` + key + `, opaque="x\", sig=\"y"`, "opaque: malformed"},
		"twice":               {`libp2p-PeerID ` + challenge + `, ` + challenge, `"challenge-client" comes twice`},
		"open quote":          {`libp2p-PeerID challenge-client="x`, "a quote is not closed"},
		"too long":            {`libp2p-PeerID opaque="` + strings.Repeat("x", 2048) + `"`, "limit 2048"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := begin(t, new(script), tc.header); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

// TestEvil_LastAnswer has servers that do not prove who they are, or refuse.
func TestEvil_LastAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		answer *http.Response
		want   string
	}{
		"no proof":    {answer(200, "X", "", ""), "has not proved who it is"},
		"wrong proof": {answer(200, "Authentication-Info", `libp2p-PeerID sig="`+vectorClientSig+`", bearer="eA=="`, ""), "signature is wrong"},
		"refused":     {answer(403, "X", "", "you are on a list\n"), `403 Forbidden: "you are on a list"`},
		"not us":      {answer(401, "X", "", ""), "401 Unauthorized"},
		"elsewhere":   {answer(302, "X", "", ""), "302 Found"},
		"a long text": {answer(500, "X", "", strings.Repeat("x", 1<<20)), strings.Repeat("x", 256) + `"`},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := begin(t, &script{answers: []*http.Response{tc.answer}}, `libp2p-PeerID challenge-client="`+vectorChallengeClient+`", public-key="`+vectorServerKey+`"`)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Post(t.Context(), "text/plain", nil); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
			if c.token != "" {
				t.Errorf("has a token: %s", c.token)
			}
		})
	}
}

func TestHello(t *testing.T) {
	first := func() *http.Response {
		return answer(401, "Www-Authenticate", `Basic realm="x", libp2p-PeerID challenge-client="a", public-key="`+vectorServerKey+`"`, "")
	}
	for name, tc := range map[string]struct {
		answers []*http.Response
		want    string
	}{
		"ready":          {[]*http.Response{first()}, ""},
		"not there":      {nil, "nobody is there"},
		"another sort":   {[]*http.Response{answer(401, "Www-Authenticate", "Basic realm=x", "go away")}, `401 Unauthorized: "go away"`},
		"asks for none":  {[]*http.Response{answer(200, "X", "", "")}, "200 OK"},
		"out of service": {[]*http.Response{answer(503, "X", "", "")}, "503 Service Unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{answers: tc.answers}
			c := newClient(s)
			err := c.Hello(t.Context())
			if got := c.handshake != nil; got != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
			if !strings.HasPrefix(s.got[0], `GET libp2p-PeerID challenge-server="`) || len(newChallenge()) != 32 {
				t.Errorf("asked %s", s.got[0])
			}
		})
	}
	c := newClient(new(script))
	c.URL = "http://" + vectorHost
	if err := c.Hello(t.Context()); err == nil || !strings.Contains(err.Error(), "not https") {
		t.Errorf("without TLS: %v", err)
	}
}

// TestTokenEnds has a server that no longer takes a token.
func TestTokenEnds(t *testing.T) {
	s := &script{answers: []*http.Response{
		answer(401, "X", "", ""),
		answer(401, "Www-Authenticate", `libp2p-PeerID challenge-client="a", public-key="`+vectorServerKey+`"`, ""),
		answer(400, "X", "", "no"),
	}}
	c := newClient(s)
	c.token = "old"
	if err := c.Post(t.Context(), "text/plain", []byte("x")); err == nil || !strings.Contains(err.Error(), `400 Bad Request: "no"`) {
		t.Error(err)
	}
	if len(s.got) != 3 || !strings.Contains(s.got[0], `bearer="old"`) || s.bodies[1] != "" || s.bodies[2] != "x" {
		t.Errorf("requests: %q, bodies: %q", s.got, s.bodies)
	}
}
