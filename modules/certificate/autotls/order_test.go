// SPDX-License-Identifier: Apache-2.0 OR MIT

package autotls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core/coretest"
)

const domain = "direct.test"

// internet is a broker and an authority on loopback.
type internet struct {
	roots     *roots
	broker    *broker
	authority *authority
}

func newInternet(t *testing.T) *internet {
	t.Helper()
	r := newRoots(t)
	b := newBroker(t, r, domain)
	return &internet{r, b, newAuthority(t, r, b.lookup)}
}

func (i *internet) config() string {
	return fmt.Sprintf(`{"domain": %q, "broker": %q, "directory": "%s/directory", "dns": %q, "root_ca_file": %q, "allow_private": true}`,
		domain, i.broker.url, i.authority.url, i.broker.dns, i.roots.file)
}

// client is a module that is ready to order, but does not on its own: the node
// has no address.
func (i *internet) client(t *testing.T) *AutoTLS {
	t.Helper()
	a := load(t, i.config())
	if err := a.Start(t.Context(), newNode(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func TestOrder(t *testing.T) {
	for _, begins := range []bool{false, true} {
		t.Run(fmt.Sprintf("broker begins: %v", begins), func(t *testing.T) {
			dataDir(t)
			coretest.VerifyNoLeaks(t)
			i := newInternet(t)
			i.broker.begins = begins
			a := i.client(t)
			addrs := []string{"/ip4/192.0.2.1/tcp/4001"}
			c, err := a.fetch(t.Context(), addrs)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.check(time.Now()); err != nil || len(c.certificate.Certificate) != 2 {
				t.Errorf("%v, chain of %d", err, len(c.certificate.Certificate))
			}
			if diff := cmp.Diff(addrs, i.broker.addresses); diff != "" {
				t.Errorf("addresses (-want +got):\n%s", diff)
			}
			// The account is the same the next time, the key is not.
			again, err := a.fetch(t.Context(), addrs)
			if err != nil || len(i.authority.accounts) != 1 {
				t.Fatalf("%v, %d accounts", err, len(i.authority.accounts))
			}
			if string(again.pem) == string(c.pem) {
				t.Error("the same certificate")
			}
		})
	}
}

// TestOrderFails has brokers and authorities that do not do their part.
func TestOrderFails(t *testing.T) {
	for name, tc := range map[string]struct {
		breaks      func(*internet)
		want        string
		later       bool
		undisturbed bool // the authority is not asked for anything
	}{
		"broker is not there": {
			breaks: func(i *internet) { i.broker.url = "https://localhost:1/v1/_acme-challenge" },
			want:   "broker: ", undisturbed: true,
		},
		"broker is out of service": {
			breaks: func(i *internet) { i.broker.fail = http.StatusServiceUnavailable },
			want:   `broker: `, later: true, undisturbed: true,
		},
		"broker refuses": {
			breaks: func(i *internet) { i.broker.fail = http.StatusBadRequest },
			want:   `400 Bad Request: "error testing addresses"`,
		},
		"authority is not there": {
			breaks: func(i *internet) { i.authority.url = "https://localhost:1" },
			want:   "authority: account: ",
		},
		"too many orders": {
			breaks: func(i *internet) {
				i.authority.fail = func(path string) error {
					if path != "/order" {
						return nil
					}
					return &problem{"urn:ietf:params:acme:error:rateLimited", "too many certificates already issued", http.StatusTooManyRequests, "7200"}
				}
			},
			want: "too many certificates already issued", later: true,
		},
		"authority asks elsewhere": {
			breaks: func(i *internet) { i.authority.txt = func(string) []string { return nil } },
			want:   "authority: challenge: ",
		},
		"authority is of others": {
			breaks: func(i *internet) { i.roots.file = "" },
			want:   "broker: ", undisturbed: true,
		},
		"authority is out of order": {
			breaks: func(i *internet) { i.authority.fail = func(string) error { return errors.New("out of order") } },
			want:   "authority: account: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dataDir(t)
			coretest.VerifyNoLeaks(t)
			i := newInternet(t)
			tc.breaks(i)
			a := i.client(t)
			c, err := a.fetch(t.Context(), []string{"/ip4/192.0.2.1/tcp/4001"})
			if c != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want an error with %q", err, tc.want)
			}
			later, ok := errors.AsType[*laterError](err)
			if ok != tc.later || ok && time.Until(later.until) < 50*time.Minute {
				t.Errorf("%v: when to come back: %v", err, later)
			}
			if n := len(i.authority.seen()); tc.undisturbed && n > 0 {
				t.Errorf("the authority had %d requests", n)
			}
		})
	}
}

// TestRecordDoesNotAppear has a broker that promises and does not keep it. The
// authority is not told to look.
func TestRecordDoesNotAppear(t *testing.T) {
	dataDir(t)
	coretest.VerifyNoLeaks(t)
	i := newInternet(t)
	i.broker.silent = true
	a := i.client(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	i.broker.asked = cancel
	_, err := a.fetch(ctx, []string{"/ip4/192.0.2.1/tcp/4001"})
	if err == nil || !strings.Contains(err.Error(), "the broker's record has not appeared in DNS") {
		t.Errorf("got %v", err)
	}
	if slices.ContainsFunc(i.authority.seen(), func(path string) bool { return strings.HasPrefix(path, "/challenge/") }) {
		t.Errorf("the authority was told to look: %v", i.authority.seen())
	}
}

// TestEvil_AnswerWithoutEnd has servers that send more than is read.
func TestEvil_AnswerWithoutEnd(t *testing.T) {
	r := newRoots(t)
	url := r.serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		for range 64 {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}))
	pool, err := readRoots(r.file)
	if err != nil {
		t.Fatal(err)
	}
	w := newWeb(pool)
	defer w.close()
	answer, err := w.client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	n, err := io.Copy(io.Discard, answer.Body)
	if n != maxAnswer || err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if _, err := w.client.Get(strings.Replace(url, "https", "http", 1)); err == nil || !strings.Contains(err.Error(), "not https") {
		t.Errorf("without TLS: %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "x": 0, "-5": 0, "99999999999999999999": 0, "3600": time.Hour,
		time.Now().Add(2 * time.Hour).UTC().Format(http.TimeFormat): 2 * time.Hour,
	} {
		got := retryAfter(value)
		if want == 0 && !got.IsZero() || want != 0 && time.Until(got).Round(time.Minute) != want {
			t.Errorf("%q: %s", value, got)
		}
	}
}
