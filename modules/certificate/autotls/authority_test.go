// SPDX-License-Identifier: Apache-2.0 OR MIT

package autotls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// roots is an authority that signs the certificates of a test.
type roots struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string // its certificate in PEM
}

func newRoots(t testing.TB) *roots {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	r := &roots{key: key, file: filepath.Join(t.TempDir(), "roots.pem")}
	if r.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.file, certPEM(der), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// sign makes a certificate for names.
func (r *roots) sign(public any, from, to time.Time, names ...string) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: serial, NotBefore: from, NotAfter: to, DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	return x509.CreateCertificate(rand.Reader, template, r.cert, public, r.key)
}

// serve starts an HTTPS server on localhost and returns its URL.
func (r *roots) serve(t *testing.T, h http.Handler) string {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := r.sign(key.Public(), time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "https://localhost:" + port
}

// problem is an error of RFC 8555.
type problem struct {
	Type   string `json:"type"`
	Detail string `json:"detail"`
	status int
	later  string // the header Retry-After
}

// Error implements error.
func (p *problem) Error() string { return p.Detail }

func malformed(format string, args ...any) error {
	return &problem{"urn:ietf:params:acme:error:malformed", fmt.Sprintf(format, args...), http.StatusBadRequest, ""}
}

// authority is a small ACME server, RFC 8555: one order at a time an account,
// challenges of the sort dns-01.
type authority struct {
	roots    *roots
	url      string
	txt      func(name string) []string
	validity func() (from, to time.Time)
	fail     func(path string) error // before a request is looked at

	mu       sync.Mutex
	nonces   map[string]bool
	accounts map[string]*ecdsa.PublicKey // by URL
	orders   map[string]*acmeOrder       // by the path's last part
	requests []string
}

type acmeOrder struct {
	name, token, thumbprint string
	authorized              bool
	chain                   []byte
}

func newAuthority(t *testing.T, r *roots, txt func(string) []string) *authority {
	a := &authority{
		roots: r, txt: txt, nonces: map[string]bool{}, accounts: map[string]*ecdsa.PublicKey{}, orders: map[string]*acmeOrder{},
		validity: func() (from, to time.Time) {
			return time.Now().Add(-time.Hour), time.Now().Add(90 * 24 * time.Hour)
		},
	}
	a.url = r.serve(t, a)
	return a
}

func (a *authority) seen() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// ServeHTTP implements [http.Handler].
func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, r.URL.Path)
	nonce := rand.Text()
	a.nonces[nonce] = true
	w.Header().Set("Replay-Nonce", nonce)
	if err := a.answer(w, r); err != nil {
		p, ok := err.(*problem)
		if !ok {
			p = &problem{"urn:ietf:params:acme:error:serverInternal", err.Error(), http.StatusInternalServerError, ""}
		}
		if p.later != "" {
			w.Header().Set("Retry-After", p.later)
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(p.status)
		_ = json.NewEncoder(w).Encode(p)
	}
}

func reply(w http.ResponseWriter, status int, body any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(body)
}

func (a *authority) answer(w http.ResponseWriter, r *http.Request) error {
	if a.fail != nil {
		if err := a.fail(r.URL.Path); err != nil {
			return err
		}
	}
	switch r.URL.Path {
	case "/directory":
		return reply(w, 200, map[string]string{"newNonce": a.url + "/nonce", "newAccount": a.url + "/account", "newOrder": a.url + "/order"})
	case "/nonce":
		return nil
	}
	key, kid, payload, err := a.open(r)
	if err != nil {
		return err
	}
	kind, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	o := a.orders[id]
	switch {
	case kind == "account":
		return a.register(w, key, payload)
	case kind == "order" && id == "":
		return a.newOrder(w, key, kid, payload)
	case o == nil:
		return &problem{"urn:ietf:params:acme:error:malformed", "no such thing: " + r.URL.Path, http.StatusNotFound, ""}
	case kind == "authorization":
		return reply(w, 200, a.authorization(id, o))
	case kind == "challenge":
		return a.challenge(w, id, o)
	case kind == "finalize":
		return a.finalize(w, id, o, payload)
	case kind == "order":
		return reply(w, 200, a.show(id, o))
	case kind == "certificate" && o.chain != nil:
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, err := w.Write(o.chain)
		return err
	}
	return malformed("%s", r.URL.Path)
}

// open checks a signed request and returns who sent it and what is in it.
func (a *authority) open(r *http.Request) (key *ecdsa.PublicKey, kid string, payload []byte, err error) {
	var jws struct{ Protected, Payload, Signature string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&jws); err != nil {
		return nil, "", nil, malformed("%v", err)
	}
	decode := base64.RawURLEncoding.DecodeString
	head, err := decode(jws.Protected)
	if err != nil {
		return nil, "", nil, malformed("%v", err)
	}
	var h struct {
		Alg, Nonce, URL, Kid string
		JWK                  struct{ X, Y string }
	}
	if err := json.Unmarshal(head, &h); err != nil {
		return nil, "", nil, malformed("%v", err)
	}
	if !a.nonces[h.Nonce] {
		return nil, "", nil, &problem{"urn:ietf:params:acme:error:badNonce", h.Nonce, http.StatusBadRequest, ""}
	}
	delete(a.nonces, h.Nonce)
	key = a.accounts[h.Kid]
	if h.Kid == "" {
		x, errX := decode(h.JWK.X)
		y, errY := decode(h.JWK.Y)
		if key, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y)); errors.Join(errX, errY, err) != nil {
			return nil, "", nil, malformed("key")
		}
	}
	signature, err := decode(jws.Signature)
	if err != nil || key == nil || h.Alg != "ES256" || h.URL != a.url+r.URL.Path || len(signature) != 64 {
		return nil, "", nil, &problem{"urn:ietf:params:acme:error:unauthorized", string(head), http.StatusUnauthorized, ""}
	}
	sum := sha256.Sum256([]byte(jws.Protected + "." + jws.Payload))
	if !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return nil, "", nil, &problem{"urn:ietf:params:acme:error:unauthorized", "signature", http.StatusUnauthorized, ""}
	}
	payload, err = decode(jws.Payload)
	return key, h.Kid, payload, err
}

// thumbprint is that of RFC 7638.
func thumbprint(key *ecdsa.PublicKey) string {
	point, err := key.Bytes()
	if err != nil {
		return ""
	}
	e := base64.RawURLEncoding.EncodeToString
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, e(point[1:33]), e(point[33:])))
	return e(sum[:])
}

func (a *authority) register(w http.ResponseWriter, key *ecdsa.PublicKey, payload []byte) error {
	var agreed struct{ TermsOfServiceAgreed bool }
	if err := json.Unmarshal(payload, &agreed); err != nil || !agreed.TermsOfServiceAgreed {
		return malformed("the terms of service are not agreed to")
	}
	kid := a.url + "/account/" + thumbprint(key)
	a.accounts[kid] = key
	w.Header().Set("Location", kid)
	return reply(w, 201, map[string]string{"status": "valid"})
}

func (a *authority) newOrder(w http.ResponseWriter, key *ecdsa.PublicKey, kid string, payload []byte) error {
	var wanted struct {
		Identifiers []struct{ Type, Value string }
	}
	if err := json.Unmarshal(payload, &wanted); err != nil || kid == "" || len(wanted.Identifiers) != 1 || wanted.Identifiers[0].Type != "dns" {
		return malformed("order: %s", payload)
	}
	id := rand.Text()
	o := &acmeOrder{name: wanted.Identifiers[0].Value, token: rand.Text(), thumbprint: thumbprint(key)}
	a.orders[id] = o
	w.Header().Set("Location", a.url+"/order/"+id)
	return reply(w, 201, a.show(id, o))
}

func (a *authority) show(id string, o *acmeOrder) any {
	status := "pending"
	if o.authorized {
		status = "ready"
	}
	v := map[string]any{
		"identifiers":    []map[string]string{{"type": "dns", "value": o.name}},
		"authorizations": []string{a.url + "/authorization/" + id},
		"finalize":       a.url + "/finalize/" + id,
	}
	if o.chain != nil {
		status, v["certificate"] = "valid", a.url+"/certificate/"+id
	}
	v["status"] = status
	return v
}

func (a *authority) authorization(id string, o *acmeOrder) any {
	status := "pending"
	if o.authorized {
		status = "valid"
	}
	challenge := map[string]string{"type": "dns-01", "url": a.url + "/challenge/" + id, "status": status, "token": o.token}
	name := strings.TrimPrefix(o.name, "*.")
	return map[string]any{
		"identifier": map[string]string{"type": "dns", "value": name}, "status": status, "wildcard": name != o.name,
		"challenges": []any{map[string]string{"type": "http-01", "url": a.url + "/none", "status": "pending", "token": "x"}, challenge},
	}
}

func (a *authority) challenge(w http.ResponseWriter, id string, o *acmeOrder) error {
	sum := sha256.Sum256([]byte(o.token + "." + o.thumbprint))
	name := "_acme-challenge." + strings.TrimPrefix(o.name, "*.") + "."
	if !slices.Contains(a.txt(name), base64.RawURLEncoding.EncodeToString(sum[:])) {
		return &problem{"urn:ietf:params:acme:error:unauthorized", "DNS does not say so", http.StatusForbidden, ""}
	}
	o.authorized = true
	return reply(w, 200, map[string]string{"type": "dns-01", "url": a.url + "/challenge/" + id, "status": "valid", "token": o.token})
}

func (a *authority) finalize(w http.ResponseWriter, id string, o *acmeOrder, payload []byte) error {
	var body struct{ CSR string }
	if err := json.Unmarshal(payload, &body); err != nil || !o.authorized {
		return malformed("finalize: %s", payload)
	}
	der, err := base64.RawURLEncoding.DecodeString(body.CSR)
	if err != nil {
		return malformed("%v", err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil || csr.CheckSignature() != nil || !slices.Equal(csr.DNSNames, []string{o.name}) {
		return malformed("the request is not for %s", o.name)
	}
	from, to := a.validity()
	if der, err = a.roots.sign(csr.PublicKey, from, to, o.name); err != nil {
		return err
	}
	o.chain = append(certPEM(der), certPEM(a.roots.cert.Raw)...)
	w.Header().Set("Location", a.url+"/order/"+id)
	return reply(w, 200, a.show(id, o))
}
