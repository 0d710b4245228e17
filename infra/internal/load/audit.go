package load

import (
	"context"
	"fmt"
	"maps"
	"time"
)

// Audit compares what was acknowledged with what is stored: every purchase, not a sample.
type Audit struct {
	Done    bool
	Problem string // why it failed, if it did

	Acked      int
	Stored     int      // of this load, acknowledged or not
	Lost       []string // events that were acknowledged and are not stored
	Duplicates []string // purchases that are stored more than once

	// Unacked is how many are stored although the buyer got no acknowledgement: the request was refused, or got no answer.
	Unacked int
}

// auditTimeout is how long the last purchases may take to be stored after the load's last phase.
const auditTimeout = time.Minute

// audit lists all purchases of the load's buyers until none is missing, or until the timeout.
func (s *sender) audit(ctx context.Context) Audit {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	s.mu.Lock()
	acked := maps.Clone(s.acked) // late answers may still be added
	s.mu.Unlock()
	var a Audit
	for {
		all, err := s.list(ctx)
		if err == nil {
			a = compare(acked, all)
		}
		if err == nil && len(a.Lost) == 0 {
			return a
		}
		select {
		case <-ctx.Done():
			if !a.Done && err != nil {
				a.Problem = err.Error()
			}
			return a
		case <-time.After(2 * time.Second):
		}
	}
}

func (s *sender) list(ctx context.Context) ([]purchase, error) {
	var all []purchase
	for i := range min(buyers, s.total) {
		some, err := s.shop.purchases(ctx, s.buyer(i+1))
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// compare looks up every acknowledged event. Two stored purchases with the same number are duplicates.
func compare(acked map[string]int, stored []purchase) Audit {
	a := Audit{Done: true, Acked: len(acked), Stored: len(stored)}
	found, numbers := map[string]bool{}, map[int]string{}
	for _, p := range stored {
		number := int(p.Price)
		if first, exists := numbers[number]; exists {
			a.Duplicates = append(a.Duplicates, fmt.Sprintf("purchase %d is stored as %s and %s", number, first, p.EventID))
			found[p.EventID] = true
			continue
		}
		numbers[number], found[p.EventID] = p.EventID, true
		if _, ok := acked[p.EventID]; !ok {
			a.Unacked++
		}
	}
	for event := range acked {
		if !found[event] {
			a.Lost = append(a.Lost, event)
		}
	}
	return a
}

func (a Audit) checks() []Check {
	if !a.Done {
		if a.Problem == "" {
			return []Check{{"", NotJudged, "whether all acknowledged purchases are stored, since the load test was interrupted"}}
		}
		return []Check{{"", Failed, "the audit failed: " + a.Problem}}
	}
	outcome := func(bad []string) Outcome {
		if len(bad) > 0 {
			return Failed
		}
		return Passed
	}
	few := func(all []string) string { return some(len(all), ", such as %v", all[:min(3, len(all))]) }
	return []Check{
		{"", outcome(a.Lost), fmt.Sprintf("of %d acknowledged purchases, each looked up, %d are lost%s", a.Acked, len(a.Lost), few(a.Lost))},
		{"", outcome(a.Duplicates), fmt.Sprintf("of %d stored purchases, %d are duplicates%s%s", a.Stored, len(a.Duplicates), few(a.Duplicates),
			some(a.Unacked, "; %d are stored although their buyers got no acknowledgement", a.Unacked))},
	}
}
