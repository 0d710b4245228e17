package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"shopstream/services/dev/reliability/cluster"
	"shopstream/services/internal/retry"
)

// internalPort is the port, as declared, on which nodes know one another by
// their certificates.
const internalPort = 9094

// The nodes' certificate and its authority are replaced by others under load, in
// the three steps that an up makes, each a guarded roll of the nodes and then of
// the services: nobody is refused, and the guards tell the new end.
func TestACertificateIsRenewedUnderLoad(t *testing.T) {
	s := startSecured(t, nil)
	ctx := t.Context()
	successor, err := cluster.NewAuthority("next authority")
	must(t, err)
	end := time.Now().AddDate(0, 6, 0).Truncate(time.Second)
	renewed, err := successor.Issue(loopback, end)
	must(t, err)
	former := s.secrets["kafka-certificate"]["tls-combined.pem"]
	both := s.authority.PEM() + successor.PEM()
	steps := []cluster.Secrets{
		s.secrets.WithCertificate(former, both),
		s.secrets.WithCertificate(renewed, both),
		s.secrets.WithCertificate(renewed, successor.PEM()),
	}

	_, err = s.authorize(ctx, nil)
	must(t, err)
	front := newFront(t)
	s.roll(t, s.secrets, front, 0)
	guards := s.guards(t)
	for _, guard := range guards {
		awaitTold(t, guard, func(told metrics) bool { // by the node's own certificate
			return told.readable() && told["kafka_brokers"] == 3 && told["kafka_partitions_under_replicated"] == 0
		})
	}
	record(t, "well", guards)
	if told := certificateEnd(t, guards[0]); told.After(end.AddDate(0, -1, 0)) {
		t.Errorf("the guard tells the end %s of the certificate before", told)
	}

	for name := range s.secrets { // what looks on from outside trusts both all the time
		if _, ok := s.secrets[name]["ca.crt"]; ok {
			s.secrets[name]["ca.crt"] = both
		}
	}
	judge := s.loaded(t, front)
	for i, secrets := range steps {
		start := time.Now()
		for node := s.brokers.Nodes() - 1; node >= 0; node-- { // in a StatefulSet's order
			must(t, askGuard(ctx, guards[node]+"/stop"))
			must(t, s.brokers.Stop(node))
			must(t, s.platform.end(guardOf(node), syscall.SIGTERM))
			must(t, s.brokers.Mount(node, secrets))
			must(t, s.brokers.StartNode(node))
			must(t, s.platform.restart(guardOf(node)))
			awaitGuard(t, guards[node]+"/ready")
		}
		s.roll(t, secrets, front, i+1)
		t.Logf("step %d took %s", i+1, time.Since(start).Round(time.Second))
	}
	for _, guard := range guards {
		if told := certificateEnd(t, guard); !told.Equal(end) {
			t.Errorf("the guard tells the end %s, want %s", told, end)
		}
	}
	judge()
}

// Three secured brokers become five, all of them restart, and three are left, under load:
// with the certificate, the access list and the rights that the stack gives the new
// brokers and the Jobs, nobody is refused.
func TestASecuredClusterGrowsRollsAndShrinksUnderLoad(t *testing.T) {
	s := startSecured(t, nil)
	ctx := t.Context()
	topics := func(brokers string, arguments ...string) {
		start := time.Now()
		env, err := s.environ("Job", "topics")
		must(t, err)
		env["BROKERS"] = brokers
		output, err := s.platform.run(ctx, "topics", list(env), arguments...)
		if err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		t.Logf("topics %q with %s brokers took %s", arguments, brokers, time.Since(start).Round(time.Second))
	}
	topics("3")
	front := newFront(t)
	s.roll(t, s.secrets, front, 0)
	judge := s.loaded(t, front)

	looking := &stage{brokers: s.brokers}
	must(t, s.brokers.Grow(ctx, 2))
	topics("5")
	held, led := shares(t, looking)
	t.Logf("replicas by broker: %v, leaders by broker: %v", held, led)
	for id := range int32(5) {
		if held[id] < 3*total(led)/5-5 || led[id] < total(led)/5-3 {
			t.Errorf("broker %d doesn't have a fair share", id)
		}
	}
	roll(t, looking, s.guards(t))

	topics("3", "drain")
	must(t, s.brokers.Shrink(2))
	topics("3")
	if ids := registered(t, looking); !slices.Equal(ids, []int32{0, 1, 2}) {
		t.Errorf("registered: %v", ids)
	}
	judge()
}

// guards starts a guard for each node, with the node's own certificate.
func (s *secured) guards(t *testing.T) []string {
	t.Helper()
	file := func(node int, setting string) string {
		path, err := s.brokers.Property(node, setting)
		must(t, err)
		return path
	}
	return guardsBeside(t, s.platform, s.brokers, func(node int) string { return s.brokers.Listener(node, internalPort) },
		func(node int) []string {
			return []string{"LISTENER=" + s.brokers.Address(node),
				"KAFKA_TLS_CA_FILE=" + file(node, "ssl.truststore.location"), "KAFKA_TLS_KEY_FILE=" + file(node, "ssl.keystore.location")}
		})
}

// loaded starts sixteen shoppers. The returned function ends the load: every answer was a
// 202, each acknowledged purchase is stored, and no partition was below its minimum.
func (s *secured) loaded(t *testing.T, front *front) (judge func()) {
	t.Helper()
	shopping, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	shoppers, ended := newShoppers(front.URL, 16, 50*time.Millisecond), make(chan struct{})
	start := time.Now()
	go func() {
		defer close(ended)
		shoppers.buy(shopping)
	}()
	sampled := sampleInSync(t, &stage{brokers: s.brokers})
	return func() {
		t.Helper()
		retry.Sleep(shopping, 2*time.Second)
		stop()
		<-ended
		for _, below := range sampled() {
			t.Error(below)
		}
		told := shoppers.tally
		t.Logf("%d acknowledged in %s, %d refused, %d cut off; nothing was acknowledged for at most %s", told.Acknowledged,
			time.Since(start).Round(time.Second), told.Refused, told.Cut, told.Stall.Round(time.Millisecond))
		if told.Refused+told.Cut+len(told.Wrong) > 0 || told.Acknowledged < 100 {
			t.Errorf("%d acknowledged, %d refused, %d cut off, other answers: %v", told.Acknowledged, told.Refused, told.Cut, told.Wrong)
		}
		if told.Stall > 2*time.Second {
			t.Errorf("nothing was acknowledged for %s", told.Stall)
		}
		s.allStored(t, shoppers.ledger)
	}
}

// roll replaces the services by ones that read these Secrets; the buyers' first,
// as Kubernetes does: the next one is ready before the former one ends.
func (s *secured) roll(t *testing.T, secrets cluster.Secrets, front *front, generation int) {
	t.Helper()
	fresh := *s
	fresh.secrets = secrets
	ready := func(instance string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.platform.awaitReady(ctx, instance); err != nil {
			t.Fatalf("%v\n%s", err, s.log(instance))
		}
	}
	for _, service := range []string{"management-api", "web-server"} {
		instance, before := service+"-"+strconv.Itoa(generation), service+"-"+strconv.Itoa(generation-1)
		must(t, fresh.start(instance, service))
		ready(instance)
		if service == "web-server" {
			front.to(t, s.platform.url(instance))
		}
		must(t, s.platform.endIfRunning(before))
	}
}

// allStored waits until every acknowledged purchase is in the database.
func (s *secured) allStored(t *testing.T, acknowledged ledger) {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(s.mongoURI))
	must(t, err)
	defer func() { _ = client.Disconnect(context.Background()) }()
	stored := client.Database("shopping").Collection("purchases")
	for user, purchases := range acknowledged {
		must(t, eventually(t.Context(), 2*time.Minute, func(ctx context.Context) error {
			cursor, err := stored.Find(ctx, bson.D{{Key: "userid", Value: user}})
			if err != nil {
				return err
			}
			var documents []struct {
				ID string `bson:"_id"`
			}
			if err := cursor.All(ctx, &documents); err != nil {
				return err
			}
			found := map[string]bool{}
			for _, d := range documents {
				found[d.ID] = true
			}
			for number, id := range purchases {
				if !found[id] {
					return fmt.Errorf("purchase %d of %s is not stored", number, user)
				}
			}
			return nil
		}))
	}
}

// certificateEnd is what a guard's metrics say.
func certificateEnd(t *testing.T, guard string) time.Time {
	t.Helper()
	told, err := readMetrics(t.Context(), guard)
	must(t, err)
	end, found := told["kafka_certificate_expiry_timestamp_seconds"]
	if !found {
		t.Fatalf("the guard tells no end of the certificate: %v", told)
	}
	return time.Unix(int64(end), 0)
}

// front stands before the web-servers and leads new requests to the one that is
// named last, as a Service does.
type front struct {
	*httptest.Server
	target    *url.URL
	answering sync.RWMutex
}

func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(f.target) }}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.answering.RLock()
		defer f.answering.RUnlock()
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

// to waits for the answers of the one before, as DRAIN_DELAY does in a pod: a server
// that stops listening resets the connections that it hasn't accepted yet.
func (f *front) to(t *testing.T, address string) {
	t.Helper()
	target, err := url.Parse(address)
	must(t, err)
	f.answering.Lock()
	defer f.answering.Unlock()
	f.target = target
}
