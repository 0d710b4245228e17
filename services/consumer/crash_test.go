package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/testkit/logtest"
)

// process is the service as an operating system process.
type process struct {
	cmd    *exec.Cmd
	out    *logtest.Lines
	exited chan struct{}
}

func (w *world) spawn(t testing.TB, name string, more ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0]), out: &logtest.Lines{}, exited: make(chan struct{})}
	p.cmd.Env = append(append(w.environ(name), more...), "CONSUMER_UNDER_TEST=1")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // a killed process ends with an error
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("log of a process (without debug lines):\n%s", p.out.Without("DEBUG"))
		}
	})
	return p
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.exited
}

func (p *process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

func (p *process) batches() int { return strings.Count(p.out.String(), `"batch committed"`) }

// open reports whether an instance has a transaction open.
func (w *world) open(t testing.TB, name string) bool {
	t.Helper()
	listed, err := w.Admin().ListTransactions(t.Context(), nil, []string{"Ongoing"})
	if err != nil {
		t.Fatal(err)
	}
	_, open := listed[w.group+"-"+name]
	return open
}

// soon is a transaction timeout that a healthy broker doesn't reach; a real one on a busy
// machine needs more.
func (w *world) soon() string {
	if w.Embedded == nil {
		return "5s"
	}
	return "1s"
}

func TestAKillInATransactionLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6)
	const orders = 20_000
	records := w.some(0, orders)
	for n := 0; n < orders; n += 97 {
		records[n].Value = []byte("poison")
	}
	w.Produce(t, records...)

	// The same transactional id, which aborts at once what the dead process left open,
	// and others, which do so a little later, if Kafka hasn't.
	caught := 0
	for _, name := range []string{"a", "a", "b", "b", "c", "a", "b"} {
		p := w.spawn(t, name, "BATCH_SIZE=20", "BATCH_LINGER=0s", "TRANSACTION_TIMEOUT="+w.soon())
		await(t, "it commits", func() bool { return p.batches() > 0 })
		first, start := p.batches(), time.Now()
		enough := first + 1 + rand.IntN(60)
		await(t, "it goes on", func() bool { return p.batches() >= enough })
		// At any point of a transaction, however long one takes with this broker.
		time.Sleep(rand.N(time.Since(start) / time.Duration(p.batches()-first)))
		p.kill()
		if w.open(t, name) {
			caught++
		}
		w.expel(t)
		// The check against double counting must have nothing to do, or it would hide a fault.
		if strings.Contains(p.out.String(), "is before orders that are in the totals") {
			t.Errorf("offsets and totals were not committed as one:\n%s", p.out.Without("DEBUG"))
		}
	}
	t.Logf("%d of 7 kills left an open transaction", caught)

	last := w.start(t, "d")
	w.check(t)
	if got := last.metric(t, "orders_already_counted_total"); got != 0 {
		t.Errorf("%v orders came twice", got)
	}
}

// The client can hang when the group's coordinator becomes unreachable: it then waits for
// a change of its brokers, whatever its timeout. The process must end, with the reason and
// not with status 0, and the next one counts what it left.
func TestAHangingClientEndsTheProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	if w.Embedded == nil {
		t.Skip("changes the embedded broker's answers")
	}
	p := w.spawn(t, "a")
	await(t, "it has its partitions", func() bool { return strings.Contains(p.out.String(), `"partitions assigned"`) })
	var gone atomic.Bool
	gone.Store(true)
	w.Embedded.Cluster.ControlKey(int16(kmsg.FindCoordinator), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.Embedded.Cluster.KeepControl()
		request := r.(*kmsg.FindCoordinatorRequest)
		if request.CoordinatorType != 0 || !gone.Load() {
			return nil, nil, false
		}
		response := request.ResponseKind().(*kmsg.FindCoordinatorResponse)
		response.NodeID, response.Host, response.Port = 99, "127.0.0.1", 1 // nobody listens there
		for _, key := range request.CoordinatorKeys {
			coordinator := kmsg.NewFindCoordinatorResponseCoordinator()
			coordinator.Key, coordinator.NodeID, coordinator.Host, coordinator.Port = key, 99, "127.0.0.1", 1
			response.Coordinators = append(response.Coordinators, coordinator)
		}
		return response, nil, true
	})
	w.Produce(t, w.some(0, 100)...)

	await(t, "the process ends", p.ended)
	if code := p.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit status %d", code)
	}
	if log := p.out.String(); !strings.Contains(log, "consumer: ") || !strings.Contains(log, "adding offsets to the transaction: the Kafka client hangs") {
		t.Errorf("it doesn't say why:\n%s", log)
	}
	gone.Store(false)
	w.start(t, "a")
	w.check(t)
}

// A suspended process is taken for dead, and its partitions are assigned to another one.
// When it resumes, in the middle of its transaction, nothing of that may be committed.
func TestAZombieIsFenced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for round, name := range []string{"a", "b", "c"} {
		w.Produce(t, w.some(11_000*round, 10_000)...)
		zombie := w.spawn(t, name, "BATCH_SIZE=10", "BATCH_LINGER=0s", "TRANSACTION_TIMEOUT="+w.soon())
		enough := 1 + rand.IntN(40)
		await(t, "it commits", func() bool { return zombie.batches() >= enough })
		if err := zombie.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		w.expel(t)
		heir := w.start(t, "heir")
		await(t, "another takes over", func() bool { return heir.metric(t, "orders_counted_total") > 0 })
		if err := zombie.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		w.Produce(t, w.some(11_000*round+10_000, 1000)...)
		await(t, "the group settles", func() bool { return w.stable(t, 2) || zombie.ended() })
		t.Logf("ended by itself: %v; fenced: %v, put out: %v", zombie.ended(), strings.Contains(zombie.out.String(), "fenced"), strings.Contains(zombie.out.String(), "UNKNOWN_MEMBER_ID"))
		heir.stopped(t)
		zombie.kill()
		w.expel(t)
	}
	w.start(t, "last")
	w.check(t)
}

func TestInstancesComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6)
	made := 0
	// under awaits a condition while orders keep coming.
	under := func(what string, condition func() bool) {
		t.Helper()
		await(t, what, func() bool {
			w.Produce(t, w.some(made, 60)...)
			made += 60
			return condition()
		})
	}
	counted := func(i *instance) func() bool {
		before := i.metric(t, "orders_counted_total")
		return func() bool { return i.metric(t, "orders_counted_total") > before }
	}
	a := w.start(t, "a")
	under("one counts", counted(a))
	b := w.start(t, "b")
	under("two share", func() bool { return w.stable(t, 2) })
	under("the second counts", counted(b))
	c := w.start(t, "c")
	under("three share", func() bool { return w.stable(t, 3) })
	under("the third counts", counted(c))
	a.stopped(t)
	under("two are left", func() bool { return w.stable(t, 2) })
	// Removed from the group without noticing, they rejoin and continue.
	if n := w.expel(t); n != 2 {
		t.Errorf("%d members were put out, want 2", n)
	}
	under("both are back", func() bool { return w.stable(t, 2) })
	under("the second counts", counted(b))
	under("the third counts", counted(c))
	w.check(t)
	for _, i := range []*instance{b, c} {
		if got := i.metric(t, "orders_already_counted_total"); got != 0 {
			t.Errorf("%v orders came twice", got)
		}
	}
	b.stopped(t)
	c.stopped(t)
	if n := w.members(t); n != 0 {
		t.Errorf("%d members after the stop", n)
	}
}

// An instance whose totals are incomplete waits for them, but it goes on counting its other
// partitions; and if the group removes it meanwhile, it notices and joins again.
func TestWaitingForTotalsHoldsUpNothingElse(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"consumer", "classic"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2)
			w.commit(t, kadm.Offset{Topic: w.orders, Partition: 0, At: 0, LeaderEpoch: -1, Metadata: "orders=7"})
			i := w.start(t, "a", "KAFKA_GROUP_PROTOCOL="+protocol)
			await(t, "one partition waits", func() bool {
				return strings.Contains(i.out.String(), "partition 0: the totals that were read back contain orders=0, but the last transaction says orders=7")
			})
			orders := w.some(0, 60)
			w.Produce(t, orders...)
			second := int64(0)
			for _, o := range orders {
				second += int64(o.Partition)
			}
			await(t, "the other is counted", func() bool { return i.metric(t, "orders_counted_total") == float64(second) })

			// The alert PartitionsNotConsumed compares these.
			if all, read := i.metric(t, "kafka_topic_partitions"), strings.Count(get(t, i.url+"/metrics"), "kafka_consumer_lag{"); all != 2 || read != 1 {
				t.Errorf("%v partitions, and a lag of %d, want 2 and 1", all, read)
			}

			if n := w.expel(t); n != 1 {
				t.Fatalf("%d members were put out, want 1", n)
			}
			await(t, "it is back", func() bool { return w.members(t) == 1 })
			i.stopped(t)
			// A real broker still has a member that left while it joined, until its session ends.
			await(t, "the group is empty", func() bool { return w.members(t) == 0 })
			w.commit(t, kadm.Offset{Topic: w.orders, Partition: 0, At: 0, LeaderEpoch: -1})
			w.start(t, "a")
			w.check(t)
		})
	}
}

// commit sets an offset of the group, which must be empty.
func (w *world) commit(t testing.TB, offset kadm.Offset) {
	t.Helper()
	offsets := kadm.Offsets{}
	offsets.Add(offset)
	if err := w.Admin().CommitAllOffsets(t.Context(), w.group, offsets); err != nil {
		t.Fatal(err)
	}
}
