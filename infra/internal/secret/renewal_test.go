package secret

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// issuer issues certificates as of a day.
func issuer(t *testing.T, now time.Time) func() (Pair, error) {
	t.Helper()
	return func() (Pair, error) { return Certificate("kafka", []string{"kafka.data.svc"}, now) }
}

func mustIssue(t *testing.T, now time.Time) Pair {
	t.Helper()
	pair, err := issuer(t, now)()
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// Each step is made once the one before has reached everybody, and none before it has.
func TestACertificateIsRenewedInThreeSteps(t *testing.T) {
	born := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	late := born.Add(certificateLife - RenewBefore + time.Hour)
	first, next := mustIssue(t, born), mustIssue(t, late)
	both := first.Authority + next.Authority
	for name, test := range map[string]struct {
		has     Renewal
		started bool
		now     time.Time
		want    Renewal
	}{
		"long before its end":                          {Renewal{Pair: first}, true, born.AddDate(4, 0, 0), Renewal{Pair: first}},
		"91 days before it":                            {Renewal{Pair: first}, true, born.Add(certificateLife - RenewBefore - 24*time.Hour), Renewal{Pair: first}},
		"90 days before it":                            {Renewal{Pair: first}, true, late, Renewal{Pair: Pair{first.Combined, both}, Next: next.Combined, Step: 1}},
		"after its end":                                {Renewal{Pair: first}, true, late.AddDate(1, 0, 0), Renewal{Pair: Pair{first.Combined, both}, Next: next.Combined, Step: 1}},
		"from a stack whose pods were never asked":     {Renewal{Pair: first}, false, late, Renewal{Pair: Pair{first.Combined, both}, Next: next.Combined, Step: 1}},
		"not everybody trusts the next authority":      {Renewal{Pair: Pair{first.Combined, both}, Next: next.Combined}, false, late, Renewal{Pair: Pair{first.Combined, both}, Next: next.Combined, Step: 1}},
		"everybody trusts the next authority":          {Renewal{Pair: Pair{first.Combined, both}, Next: next.Combined}, true, late, Renewal{Pair: Pair{next.Combined, both}, Step: 2}},
		"not every node shows the next certificate":    {Renewal{Pair: Pair{next.Combined, both}}, false, late, Renewal{Pair: Pair{next.Combined, both}, Step: 2}},
		"every node shows the next certificate":        {Renewal{Pair: Pair{next.Combined, both}}, true, late, Renewal{Pair: next, Step: 3}},
		"nobody trusts the former authority any more":  {Renewal{Pair: next}, true, late, Renewal{Pair: next}},
		"nor does anybody who is still to be told so":  {Renewal{Pair: next}, false, late, Renewal{Pair: next}},
		"the end comes while the steps are being made": {Renewal{Pair: Pair{first.Combined, both}, Next: next.Combined}, true, late.AddDate(2, 0, 0), Renewal{Pair: Pair{next.Combined, both}, Step: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Renew(test.has, test.started, test.now, func() (Pair, error) { return next, nil })
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("step %d, want %d: the values are others", got.Step, test.want.Step)
			}
		})
	}
}

// In each step all nodes and clients, whether they have been started anew yet or not, accept one another.
func TestInEveryStepOldAndNewUnderstandOneAnother(t *testing.T) {
	born := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	late := born.Add(certificateLife - RenewBefore + time.Hour)
	before := Renewal{Pair: mustIssue(t, born)}
	for step := 1; step <= RenewalSteps; step++ {
		after, err := Renew(before, true, late, issuer(t, late))
		if err != nil || after.Step != step || after.UnderWay() != (step < RenewalSteps) {
			t.Fatalf("step %d, want %d: %v", after.Step, step, err)
		}
		for _, shown := range []Pair{before.Pair, after.Pair} {
			for _, trusting := range []Pair{before.Pair, after.Pair} {
				leaf, err := certificateOf(shown.Combined)
				authorities, listErr := certificatesIn(trusting.Authority)
				if err := errors.Join(err, listErr); err != nil {
					t.Fatal(err)
				}
				if err := leaf.CheckSignatureFrom(authorities[0]); err != nil && (len(authorities) == 1 || leaf.CheckSignatureFrom(authorities[1]) != nil) {
					t.Errorf("step %d: one is refused: %v", step, err)
				}
			}
		}
		before = after
		before.Step = 0 // which nobody writes down
	}
	if again, err := Renew(before, true, late, issuer(t, late)); err != nil || again != before {
		t.Errorf("it goes on after the last step: %v", err)
	}
}

func TestWhatIsNoCertificateIsNotRenewed(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fine := mustIssue(t, now)
	for _, has := range []Pair{{}, {Combined: "x", Authority: fine.Authority}, {Combined: fine.Combined, Authority: "x"}} {
		if _, err := Renew(Renewal{Pair: has}, true, now, issuer(t, now)); err == nil || !strings.Contains(err.Error(), "reading ") {
			t.Errorf("err = %v", err)
		}
	}
}
