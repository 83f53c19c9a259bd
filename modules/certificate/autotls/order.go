// SPDX-License-Identifier: Apache-2.0 OR MIT

package autotls

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

const (
	// pollEvery is how often the authority and DNS are asked how far they are;
	// DNS ever more seldom, down to maxPoll. They are asked for pollFor.
	pollEvery = time.Second
	maxPoll   = 30 * time.Second
	pollFor   = 3 * time.Minute
	// maxAuthorizations bounds the parts of an order.
	maxAuthorizations = 4
)

// order is an attempt to get a certificate.
type order struct {
	dialable []string // where the broker can reach the node
	web      *web
	client   *acme.Client
	account  acme.Account
}

// obtain has a certificate issued.
func (a *AutoTLS) obtain(ctx context.Context, dialable []string) (*issued, error) {
	o := &order{dialable: dialable, web: newWeb(a.roots)}
	defer o.web.close()
	a.broker.HTTP = o.web.client
	a.set(State{Phase: WaitingBroker})
	if err := a.broker.Hello(ctx); err != nil {
		return nil, o.web.later(fmt.Errorf("broker: %w", err))
	}
	a.set(State{Phase: Ordering})
	o.client = &acme.Client{
		Directory: a.Directory, HTTPClient: o.web.client, UserAgent: userAgent,
		PollInterval: pollEvery, PollTimeout: pollFor, Logger: a.log.With("part", "acme"),
	}
	c, err := a.issue(ctx, o)
	if err != nil {
		return nil, o.web.later(err)
	}
	return c, nil
}

// issue is the order from the account to the certificate.
func (a *AutoTLS) issue(ctx context.Context, o *order) (*issued, error) {
	key, err := a.accountKey()
	if err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}
	o.account, err = o.client.NewAccount(ctx, acme.Account{TermsOfServiceAgreed: true, PrivateKey: key})
	if err != nil {
		return nil, fmt.Errorf("authority: account: %w", err)
	}
	ordered, err := o.client.NewOrder(ctx, o.account, acme.Order{Identifiers: []acme.Identifier{{Type: "dns", Value: a.names.wildcard}}})
	if err != nil {
		return nil, fmt.Errorf("authority: order: %w", err)
	}
	if n := len(ordered.Authorizations); n > maxAuthorizations {
		return nil, fmt.Errorf("authority: order: %d parts, limit %d", n, maxAuthorizations)
	}
	for _, url := range ordered.Authorizations {
		if err := a.authorize(ctx, o, url); err != nil {
			return nil, err
		}
	}
	return a.finalize(ctx, o, ordered)
}

// authorize shows the authority that the names are the node's.
func (a *AutoTLS) authorize(ctx context.Context, o *order, url string) error {
	part, err := o.client.GetAuthorization(ctx, o.account, url)
	if err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	if part.Status == acme.StatusValid {
		return nil
	}
	i := slices.IndexFunc(part.Challenges, func(c acme.Challenge) bool { return c.Type == acme.ChallengeTypeDNS01 })
	if i < 0 {
		return errors.New("authority: it does not look into DNS (dns-01)")
	}
	challenge := part.Challenges[i]
	value := challenge.DNS01KeyAuthorization()
	body, err := json.Marshal(map[string]any{"value": value, "addresses": o.dialable})
	if err != nil {
		return err
	}
	if err := a.broker.Post(ctx, "application/json", body); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if err := a.appear(ctx, value); err != nil {
		return err
	}
	if _, err = o.client.InitiateChallenge(ctx, o.account, challenge); err == nil {
		_, err = o.client.PollAuthorization(ctx, o.account, part)
	}
	if err != nil {
		return fmt.Errorf("authority: challenge: %w", err)
	}
	return nil
}

// appear waits until the answer to a challenge can be seen in DNS.
func (a *AutoTLS) appear(ctx context.Context, value string) error {
	ctx, cancel := context.WithTimeout(ctx, pollFor)
	defer cancel()
	for wait := pollEvery; ; wait = min(2*wait, maxPoll) {
		found, err := a.resolver.LookupTXT(ctx, a.names.challenge())
		if slices.Contains(found, value) {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			if err == nil {
				err = fmt.Errorf("there are %d other records", len(found))
			}
			return fmt.Errorf("%s: the broker's record has not appeared in DNS: %w", strings.TrimSuffix(a.names.challenge(), "."), err)
		}
	}
}

// finalize fetches the certificate of an order whose parts are all done.
func (a *AutoTLS) finalize(ctx context.Context, o *order, ordered acme.Order) (*issued, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{a.names.wildcard}}, key)
	if err != nil {
		return nil, err
	}
	ordered, err = o.client.FinalizeOrder(ctx, o.account, ordered, request)
	if err != nil {
		return nil, fmt.Errorf("authority: finalize: %w", err)
	}
	chains, err := o.client.GetCertificateChain(ctx, o.account, ordered.Certificate)
	if err != nil {
		return nil, fmt.Errorf("authority: certificate: %w", err)
	}
	if len(chains) == 0 {
		return nil, errors.New("authority: it has sent no certificate")
	}
	b, err := keyPEM(key)
	if err != nil {
		return nil, err
	}
	c, err := parse(append(b, chains[0].ChainPEM...), a.names.wildcard)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	return c, nil
}
