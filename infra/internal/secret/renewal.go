package secret

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// RenewBefore is how long before its end a generated certificate is renewed.
const RenewBefore = 90 * 24 * time.Hour

// RenewalSteps is how many ups a renewal takes. In each step all nodes and clients are restarted, one after the other, and can
// connect to those that are still in the step before: in the first step they also trust the next authority, in the second
// the nodes use the next certificate, and in the third the former authority is no longer trusted.
const RenewalSteps = 3

// Pair is a node's key and certificate, and the authorities that are trusted.
type Pair struct {
	// Combined is the key followed by the certificate; both are PEM.
	Combined string

	// Authority contains the certificates that clients verify it with, in PEM.
	Authority string
}

// Renewal is a generated certificate, and its successor during a renewal.
type Renewal struct {
	Pair

	// Next is the key and certificate that will replace Combined in the second step. It is set by the first step only.
	Next string

	// Step is the step that leads to these values, from 1 to RenewalSteps; 0 if no renewal is in progress.
	Step int
}

// UnderWay reports whether there are further steps.
func (r Renewal) UnderWay() bool { return r.Step > 0 && r.Step < RenewalSteps }

// Renew returns what a generated certificate is to become in this up. started says whether all nodes and clients were started
// with the present values. If they were not, no further step is made, since those that are two steps behind could not
// connect any more. issue generates a successor.
func Renew(has Renewal, started bool, now time.Time, issue func() (Pair, error)) (Renewal, error) {
	leaf, err := certificateOf(has.Combined)
	if err != nil {
		return has, err
	}
	authorities, err := certificatesIn(has.Authority)
	if err != nil {
		return has, err
	}
	signers := slices.DeleteFunc(slices.Clone(authorities), func(a *x509.Certificate) bool { return leaf.CheckSignatureFrom(a) != nil })
	switch {
	case has.Next != "": // the first step was made
		if !started {
			has.Step = 1
			return has, nil
		}
		return Renewal{Pair: Pair{Combined: has.Next, Authority: has.Authority}, Step: 2}, nil
	case len(signers) > 0 && len(signers) < len(authorities): // the second step was made
		if !started {
			has.Step = 2
			return has, nil
		}
		has.Authority, has.Step = encodeAll(signers), 3
		return has, nil
	case now.Before(soonest(leaf, authorities).Add(-RenewBefore)):
		return has, nil
	}
	next, err := issue()
	if err != nil {
		return has, err
	}
	has.Authority += next.Authority
	has.Next, has.Step = next.Combined, 1
	return has, nil
}

// End returns when the certificate expires.
func End(combined string) (time.Time, error) {
	leaf, err := certificateOf(combined)
	if err != nil {
		return time.Time{}, err
	}
	return leaf.NotAfter, nil
}

func certificateOf(combined string) (*x509.Certificate, error) {
	pair, err := tls.X509KeyPair([]byte(combined), []byte(combined))
	if err != nil {
		return nil, fmt.Errorf("reading the nodes' key and certificate: %w", err)
	}
	return pair.Leaf, nil
}

func certificatesIn(text string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading an authority: %w", err)
		}
		all = append(all, certificate)
	}
	if len(all) == 0 {
		return nil, errors.New("reading the authorities: there is none")
	}
	return all, nil
}

func encodeAll(certificates []*x509.Certificate) string {
	var text strings.Builder
	for _, c := range certificates {
		text.WriteString(encodePEM("CERTIFICATE", c.Raw))
	}
	return text.String()
}

// soonest returns when the first of them expires.
func soonest(leaf *x509.Certificate, authorities []*x509.Certificate) time.Time {
	end := leaf.NotAfter
	for _, authority := range authorities {
		if authority.NotAfter.Before(end) {
			end = authority.NotAfter
		}
	}
	return end
}
