package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"shopstream/services/internal/testkit/database"
	"shopstream/services/internal/testkit/freeport"
)

// The service starts before Kafka and the database, stays alive, and works once both are
// up.
func TestDatabaseUnreachableAtTheStart(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	addr := freeport.Addr(t)
	p.mongoURI = "mongodb://" + addr + "/"
	events, records := purchases(t, p.topic, 200)
	p.kafka.Produce(t, records...)
	s := start(t, p.environ())
	s.logs.await(t, s.done, message("database not ready, consumption waits"))
	if r, body := s.get(t, "/-/ready"); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("ready without a database: %s", body)
	}

	db, err := database.Start(addr, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	p.collection = connect(t, db.URI()).Database(p.database).Collection("purchases")
	p.wantStored(t, events)
	p.wantCommitted(t)
	eventually(t, "ready", func() bool { r, _ := s.get(t, "/-/ready"); return r.StatusCode == http.StatusOK })
}

func TestKafkaUnreachableAtTheStart(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	// Kafka is up, but not at the address that the service has.
	s := start(t, append(p.environ(), "KAFKA_BOOTSTRAP_SERVERS="+freeport.Addr(t)))
	eventually(t, "the database up", func() bool {
		r, body := s.get(t, "/-/ready")
		return r.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(body), `"mongo":"up"`) && strings.Contains(string(body), `"kafka":"down`)
	})
	if r, body := s.get(t, "/api/v1/purchases/ann"); r.StatusCode != http.StatusOK {
		t.Errorf("without Kafka, what is stored is answered all the same: %d %s", r.StatusCode, body)
	}
	begun := time.Now()
	if err := s.stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

// The database becomes unreachable twice while purchases are stored: everything is stored
// once, nothing becomes a dead letter.
func TestDatabaseOutages(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	x := p.throughProxy(t)
	s := start(t, p.environ("BATCH_SIZE=50", "BATCH_LINGER=10ms"))
	events, records := purchases(t, p.topic, 3000)

	for round := range 2 {
		part := records[round*1000 : (round+1)*1000]
		p.kafka.Produce(t, part[:700]...)
		// Cut in the middle of the work if that is slow; the rest comes while the database
		// is unreachable in any case.
		eventually(t, "some stored", func() bool { return p.storedCount(t) > round*1000+100 })
		x.cut()
		p.kafka.Produce(t, part[700:]...)
		pauses := round + 1
		eventually(t, "paused", func() bool {
			return s.logs.count(func(l map[string]any) bool { return l["msg"] == "consumption" && l["paused"] == true }) >= pauses
		})
		x.restore()
	}
	p.kafka.Produce(t, records[2000:]...)
	p.wantStored(t, events)
	p.wantCommitted(t)
	if letters := p.kafka.Read(t, p.dlq); len(letters) > 0 {
		t.Errorf("%d dead letters: an outage must not make any", len(letters))
	}
	if got := s.metric(t, "mongo_batch_retries_total"); got == 0 {
		t.Error("no attempt failed: the test tested nothing")
	}
}

// A member whose database is unreachable takes part in a rebalance: it gives up a
// partition, and one that it is assigned is paused.
func TestRebalanceDuringADatabaseOutage(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	x := p.throughProxy(t)
	first := start(t, p.environ("BATCH_SIZE=50"))
	events, records := purchases(t, p.topic, 1200)
	p.kafka.Produce(t, records[:300]...)
	p.wantStored(t, events[:300])
	x.cut()
	p.kafka.Produce(t, records[300:600]...)
	first.logs.await(t, first.done, message("batch not stored yet, trying again"))

	// The second one reaches the database directly.
	direct := *p
	direct.mongoURI = strings.Replace(p.mongoURI, x.listener.Addr().String(), x.target, 1)
	second := start(t, direct.environ("BATCH_SIZE=50"))
	eventually(t, "both members have partitions", func() bool { return p.members(t) == 2 })
	before := p.storedCount(t)
	p.kafka.Produce(t, records[600:900]...)
	eventually(t, "the second stores what is its", func() bool { return p.storedCount(t) > before })

	// All are assigned to the first, which can't store yet.
	if err := second.stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	eventually(t, "one member has all", func() bool { return p.members(t) == 1 })
	p.kafka.Produce(t, records[900:]...)
	x.restore()
	p.wantStored(t, events)
	p.wantCommitted(t)
	if letters := p.kafka.Read(t, p.dlq); len(letters) > 0 {
		t.Errorf("%d dead letters, want none", len(letters))
	}
}

// A partition that is given up while paused and assigned again after the pause is read
// again: the client itself remembers the pause.
func TestAPauseEndsWithTheOwnership(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	x := p.throughProxy(t)
	first := start(t, p.environ())
	eventually(t, "one member", func() bool { return p.members(t) == 1 })
	x.cut()
	events, records := purchases(t, p.topic, 600)
	p.kafka.Produce(t, records[:300]...)
	first.logs.await(t, first.done, func(l map[string]any) bool { return l["msg"] == "consumption" && l["paused"] == true })
	direct := *p
	direct.mongoURI = strings.Replace(p.mongoURI, x.listener.Addr().String(), x.target, 1)
	second := start(t, direct.environ())
	eventually(t, "both members have partitions", func() bool { return p.members(t) == 2 })
	x.restore()
	p.wantStored(t, events[:300])
	first.logs.await(t, first.done, func(l map[string]any) bool { return l["msg"] == "consumption" && l["paused"] == false })
	if err := second.stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	eventually(t, "one member has all", func() bool { return p.members(t) == 1 })
	p.kafka.Produce(t, records[300:]...)
	p.wantStored(t, events)
	p.wantCommitted(t)
}

// members returns how many members of the group have partitions; 0 while it rebalances.
func (p *platform) members(t *testing.T) int {
	t.Helper()
	members, stable, err := p.kafka.Members(t.Context(), p.group)
	if err != nil || !stable {
		return 0
	}
	n, partitions := 0, 0
	for _, m := range members {
		partitions += m.Partitions
		if m.Partitions > 0 {
			n++
		}
	}
	if partitions != 3 {
		return 0 // a cooperative rebalance has one more round
	}
	return n
}

// Stopping during an outage of the database ends in time and loses nothing.
func TestStopDuringADatabaseOutage(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	x := p.throughProxy(t)
	s := start(t, p.environ("BATCH_SIZE=20", "SHUTDOWN_TIMEOUT=6s"))
	events, records := purchases(t, p.topic, 400)
	p.kafka.Produce(t, records[:200]...)
	p.wantStored(t, events[:200])
	x.cut()
	p.kafka.Produce(t, records[200:]...)
	s.logs.await(t, s.done, message("batch not stored yet, trying again"))
	begun := time.Now()
	if err := s.stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if took := time.Since(begun); took > 6*time.Second {
		t.Errorf("stopping took %v", took)
	}
	eventually(t, "the member has left", func() bool { return p.members(t) == 0 })

	x.restore()
	start(t, p.environ())
	p.wantStored(t, events)
	p.wantCommitted(t)
}

// Stopping in the middle of the work stores what was polled, and its offsets: nothing is
// delivered a second time.
func TestStopFinishesWhatWasPolled(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	events, records := purchases(t, p.topic, 2000)
	p.kafka.Produce(t, records...)
	s := start(t, p.environ("BATCH_SIZE=100"))
	eventually(t, "some stored", func() bool { return p.storedCount(t) > 100 })
	if err := s.stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	stored := p.storedCount(t)
	if left := p.uncommitted(t, p.group, p.topic); int(left) != len(records)-stored {
		t.Errorf("%d stored, %d left: together not %d", stored, left, len(records))
	}
	s = start(t, p.environ())
	p.wantStored(t, events)
	p.wantCommitted(t)
	if got := s.metric(t, "purchases_duplicate_total"); got != 0 {
		t.Errorf("%v delivered twice, want none", got)
	}
}

// The last purchase waits for others to be inserted with it; a stop ends that wait.
func TestStopDoesNotWaitForTheLinger(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	s := start(t, p.environ("BATCH_LINGER=10s"))
	eventually(t, "the member has partitions", func() bool { return p.members(t) == 1 })
	events, records := purchases(t, p.topic, 3)
	p.kafka.Produce(t, records...)
	lag := func() (lag float64) {
		for partition := range 3 {
			lag += s.metric(t, fmt.Sprintf(`kafka_consumer_lag{partition="%d",topic=%q}`, partition, p.topic))
		}
		return lag
	}
	eventually(t, "the lag shown", func() bool { return lag() == 3 })
	if err := s.stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	p.wantStored(t, events)
	p.wantCommitted(t)
}

func TestMembersJoinAndLeave(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	events, records := purchases(t, p.topic, 3000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for from := 0; from < len(records); from += 100 {
			p.kafka.Produce(t, records[from:from+100]...)
		}
	}()
	environ := p.environ("BATCH_SIZE=40")
	first := start(t, environ)
	eventually(t, "one member", func() bool { return p.members(t) == 1 })
	second := start(t, environ)
	eventually(t, "two members", func() bool { return p.members(t) == 2 })
	start(t, environ)
	eventually(t, "three members", func() bool { return p.members(t) == 3 })
	<-done
	if err := first.stop(); err != nil {
		t.Errorf("stopping the first: %v", err)
	}
	eventually(t, "two members", func() bool { return p.members(t) == 2 })
	if err := second.stop(); err != nil {
		t.Errorf("stopping the second: %v", err)
	}
	p.wantStored(t, events)
	p.wantCommitted(t)
	if letters := p.kafka.Read(t, p.dlq); len(letters) > 0 {
		t.Errorf("%d dead letters, want none", len(letters))
	}
}
