package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"shopstream/services/dev/reliability/cluster"
	"shopstream/services/internal/retry"
)

// Brokers are restarted one after the other, as a StatefulSet does: each when its guard
// allows it, and the next one when the guard reports that the broker has caught up. No
// shopper is refused, and no partition falls below its min.insync.replicas, checked every
// second.
func TestAGuardedRollRefusesNobody(t *testing.T) {
	s := ownStage(t, manifestOrSkip(t), "")
	urls := startGuards(t, s)
	load, err := s.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sampled := sampleInSync(t, s)
	retry.Sleep(t.Context(), 3*time.Second)
	roll(t, s, urls)
	judge(t, load, sampled)
}

// roll restarts all nodes in a StatefulSet's order, each when its guard lets it go
// and the next when the guard says that it is in sync.
func roll(t *testing.T, s *stage, urls []string) {
	t.Helper()
	for node := s.brokers.Nodes() - 1; node >= 0; node-- {
		if err := askGuard(t.Context(), urls[node]+"/stop"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := s.brokers.Stop(node); err != nil {
			t.Fatal(err)
		}
		if err := s.brokers.StartNode(node); err != nil {
			t.Fatal(err)
		}
		awaitGuard(t, urls[node]+"/ready")
		t.Logf("node %d was back in sync after %s", node, time.Since(start).Round(time.Millisecond))
	}
}

// While a broker is down, no other one may stop; once it is back in sync, the roll continues
// by itself.
func TestAGuardedRollWaitsForABrokerThatIsDown(t *testing.T) {
	s := ownStage(t, manifestOrSkip(t), "")
	urls := startGuards(t, s)
	if err := s.brokers.Kill(0); err != nil {
		t.Fatal(err)
	}
	awaitTurn(t, s, urls)
	// A node that may stop no longer counts as available: another one has to wait for it.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := askGuard(ctx, urls[1]+"/stop"); err == nil {
		t.Error("node 1 was allowed to stop too")
	}
}

// The same under load: a broker that somebody has stopped keeps the roll waiting, nobody is
// refused meanwhile, and then all restart.
func TestAGuardedRollUnderLoadWaitsForABrokerThatIsDown(t *testing.T) {
	s := ownStage(t, manifestOrSkip(t), "")
	urls := startGuards(t, s)
	load, sampled := loaded(t, s)
	if err := s.brokers.Stop(0); err != nil {
		t.Fatal(err)
	}
	awaitTurn(t, s, urls)
	roll(t, s, urls)
	judge(t, load, sampled)
}

// awaitTurn tells node 2 to stop while node 0 is down: it has to wait, until node 0, which
// is started then, is back in sync.
func awaitTurn(t *testing.T, s *stage, urls []string) {
	t.Helper()
	let := make(chan error, 1)
	go func() { let <- askGuard(t.Context(), urls[2]+"/stop") }()
	select {
	case err := <-let:
		t.Fatalf("node 2 was allowed to stop while node 0 is down (%v)", err)
	case <-time.After(20 * time.Second): // longer than a broker's session timeout
	}
	if err := s.brokers.StartNode(0); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-let:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(90 * time.Second):
		t.Fatal("node 2 was not allowed to stop after node 0 had come back")
	}
}

// If all are told to stop, as when the stack is destroyed, all may stop.
func TestAllBrokersMayStopTogether(t *testing.T) {
	s := ownStage(t, manifestOrSkip(t), "")
	urls := startGuards(t, s)
	if err := s.brokers.Kill(0); err != nil { // so that the cluster can do without none of the others
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for _, url := range urls {
		all.Go(func() {
			if err := askGuard(ctx, url+"/stop"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// startGuards starts a guard for each node, and returns their addresses. Each has its own
// loopback address, so that they find one another as in a cluster.
func startGuards(t *testing.T, s *stage) []string {
	t.Helper()
	return guardsBeside(t, s.platform, s.brokers, s.brokers.Address, nil)
}

// guardsBeside starts the guards with where they find the brokers, and what else
// each is told.
func guardsBeside(t *testing.T, p *platform, brokers *cluster.Cluster, address func(node int) string, more func(node int) []string) []string {
	t.Helper()
	free, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	port := free[strings.LastIndex(free, ":")+1:]
	var servers, urls []string
	for node := range brokers.Nodes() {
		servers = append(servers, address(node))
	}
	for node := range brokers.Nodes() {
		addr := fmt.Sprintf("127.0.1.%d:%s", node, port)
		environ := []string{"HTTP_ADDR=" + addr, "NODE_ID=" + strconv.Itoa(node),
			"KAFKA_BOOTSTRAP_SERVERS=" + strings.Join(servers, ","), "PEERS=http://127.0.1.{index}:" + port}
		if more != nil {
			environ = append(environ, more(node)...)
		}
		if err := p.start(guardOf(node), "broker-guard", environ...); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.end(guardOf(node), syscall.SIGTERM) })
		urls = append(urls, "http://"+addr)
	}
	for _, url := range urls {
		awaitGuard(t, url+"/ready")
	}
	return urls
}

func guardOf(node int) string { return "broker-guard-" + strconv.Itoa(node) }

func askGuard(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s %s", url, response.Status, body)
	}
	return nil
}

func awaitGuard(t *testing.T, url string) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); retry.Sleep(t.Context(), 200*time.Millisecond) {
		if err = askGuard(t.Context(), url); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// sampleInSync checks every second, with every broker that answers, for partitions below
// their min.insync.replicas, until the returned function is called.
func sampleInSync(t *testing.T, s *stage) func() []string {
	t.Helper()
	admin, err := s.brokers.Admin()
	if err != nil {
		t.Fatal(err)
	}
	minimum := map[string]int{}
	topics, err := admin.ListTopicsWithInternal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	configs, err := admin.DescribeTopicConfigs(t.Context(), topics.Names()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range configs {
		for _, entry := range topic.Configs {
			if entry.Key == "min.insync.replicas" {
				minimum[topic.Name], _ = strconv.Atoi(entry.MaybeValue())
			}
		}
	}
	if len(minimum) == 0 || slices.Contains(slices.Collect(maps.Values(minimum)), 0) {
		t.Fatalf("min.insync.replicas by topic: %v", minimum)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan []string, 1)
	go func() {
		var below []string
		looks := 0
		for ctx.Err() == nil {
			admin, err := s.brokers.Admin() // a new one, whose cache is empty
			if err == nil {
				var topics kadm.TopicDetails
				if topics, err = admin.ListTopicsWithInternal(ctx); err == nil {
					looks++
					topics.EachPartition(func(p kadm.PartitionDetail) {
						if len(p.ISR) < minimum[p.Topic] {
							below = append(below, fmt.Sprintf("%s: partition %d of %s has %v in sync", time.Now().Format(time.TimeOnly), p.Partition, p.Topic, p.ISR))
						}
					})
				}
				admin.Close()
			}
			retry.Sleep(ctx, time.Second)
		}
		if looks == 0 {
			below = append(below, "nothing was sampled")
		}
		done <- below
	}()
	return func() []string {
		cancel()
		admin.Close()
		return <-done
	}
}
