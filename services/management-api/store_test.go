package main

import (
	"net/http"
	"testing"
)

func TestStoresEachPurchaseOnce(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	events, records := purchases(t, p.topic, 500)
	p.kafka.Produce(t, records...)
	p.kafka.Produce(t, again(records[:100])...) // sent twice by a client
	s := start(t, p.environ("BATCH_SIZE=64"))
	p.wantStored(t, events)
	p.wantCommitted(t)
	eventually(t, "the second deliveries counted", func() bool { return s.metric(t, "purchases_duplicate_total") == 100 })
	if got := s.metric(t, "purchases_stored_total"); got != 500 {
		t.Errorf("purchases_stored_total = %v, want 500", got)
	}
	if err := s.stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}

	// The group's offsets are reset to the beginning: everything is delivered again.
	if _, err := p.kafka.Admin().DeleteGroups(t.Context(), p.group); err != nil {
		t.Fatal(err)
	}
	s = start(t, p.environ())
	eventually(t, "all found stored already", func() bool { return s.metric(t, "purchases_duplicate_total") == 600 })
	p.wantCommitted(t)
	p.wantStored(t, events)
	if letters := p.kafka.Read(t, p.dlq); len(letters) > 0 {
		t.Errorf("%d dead letters, want none", len(letters))
	}
	if r, _ := s.get(t, "/-/healthy"); r.StatusCode != http.StatusOK {
		t.Errorf("healthy = %d", r.StatusCode)
	}
}
