package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/dev/reliability/cluster"
	"shopstream/services/internal/testkit/database"
)

// secured is the platform on brokers with TLS and authentication, with the credentials, the
// certificates and the access list that the secured stack declares.
type secured struct {
	dir       string
	manifests []byte
	authority *cluster.Authority
	secrets   cluster.Secrets
	brokers   *cluster.Cluster
	mongoURI  string
	platform  *platform

	// asKEDA are the options of a client that logs in as KEDA does.
	asKEDA []kgo.Opt
}

// loopback is the brokers' host, which their certificate must name.
const loopback = "127.0.0.1"

// `make test-kafka` sets KAFKA_SECURED_MANIFEST to a secured stack as infra renders it.
// given are further variables of the brokers.
func startSecured(t *testing.T, given map[string]string) *secured {
	t.Helper()
	path := os.Getenv("KAFKA_SECURED_MANIFEST")
	if path == "" {
		t.Skip("needs Apache Kafka's brokers: run `make test-kafka`")
	}
	s := &secured{dir: t.TempDir()}
	must(t, s.prepare(path))
	starting, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	manifest, err := cluster.ParseManifest(s.manifests)
	must(t, err)
	s.brokers, err = cluster.Start(starting, cluster.Options{Manifest: manifest, Dir: filepath.Join(s.dir, "brokers"), Secrets: s.secrets, Env: given})
	must(t, err)
	t.Cleanup(s.brokers.Close)

	addr, err := freeAddress()
	must(t, err)
	db, err := database.Start(addr, filepath.Join(s.dir, "database"), slog.New(slog.DiscardHandler))
	must(t, err)
	t.Cleanup(db.Close)
	s.mongoURI = "mongodb://" + addr + "/"
	s.platform = newPlatform(buildServices(t), s.dir, s.brokers.BootstrapServers(), s.mongoURI)
	t.Cleanup(s.platform.close)
	t.Cleanup(func() {
		if err := s.platform.crashed(); err != nil {
			t.Error(err)
		}
		if !t.Failed() {
			return
		}
		for i := range s.brokers.Nodes() {
			t.Logf("broker %d:\n%s", i, s.brokers.Log(i, 15))
		}
	})
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *secured) prepare(path string) (err error) {
	if s.manifests, err = os.ReadFile(path); err != nil {
		return err
	}
	if s.authority, err = cluster.NewAuthority("kafka authority"); err != nil {
		return err
	}
	combined, err := s.authority.Issue(loopback, time.Now().AddDate(0, 1, 0))
	if err != nil {
		return err
	}
	s.secrets = cluster.DeclaredSecrets(s.manifests)
	if err := s.secrets.Fill(s.authority, combined); err != nil {
		return err
	}
	s.asKEDA = s.secrets.As("keda")
	return nil
}

// environ returns the environment that the stack gives a workload, with addresses on this
// machine.
func (s *secured) environ(kind, name string) (map[string]string, error) {
	w, err := cluster.ParseWorkload(s.manifests, kind, name)
	if err != nil {
		return nil, err
	}
	fields := map[string]string{"metadata.labels['topology.kubernetes.io/zone']": "zone-0"}
	env, err := w.Environment(fields, s.secrets, filepath.Join(s.dir, name))
	if err != nil {
		return nil, fmt.Errorf("resolving the environment of %s: %w", name, err)
	}
	maps.DeleteFunc(env, func(key, _ string) bool {
		return slices.Contains([]string{"HTTP_ADDR", "KAFKA_BOOTSTRAP_SERVERS", "MONGO_URI", "MANAGEMENT_API_URL", "DRAIN_DELAY", "LOG_LEVEL", "API_TOKEN"}, key)
	})
	return env, nil
}

func list(env map[string]string) []string {
	var environ []string
	for _, key := range slices.Sorted(maps.Keys(env)) {
		environ = append(environ, key+"="+env[key])
	}
	return environ
}

// authorize runs the Job that creates topics and the access list.
func (s *secured) authorize(ctx context.Context, change func(env map[string]string)) (string, error) {
	env, err := s.environ("Job", "topics")
	if err != nil {
		return "", err
	}
	if change != nil {
		change(env)
	}
	return s.platform.run(ctx, "topics", list(env))
}

// start starts a service as the stack would, under its own instance name, with some
// variables changed.
func (s *secured) start(instance, service string, changes ...string) error {
	env, err := s.environ("Deployment", service)
	if err != nil {
		return err
	}
	switch service {
	case "web-server":
		changes = append([]string{"MANAGEMENT_API_URL=http://127.0.0.1:1"}, changes...)
		if s.platform.processes["management-api"] != nil {
			changes[0] = "MANAGEMENT_API_URL=" + s.platform.url("management-api")
		}
	case "consumer":
		changes = append([]string{"TRANSACTIONAL_ID=" + env["GROUP_ID"] + "-" + instance}, changes...)
	}
	return s.platform.start(instance, service, append(list(env), changes...)...)
}

func (s *secured) get(ctx context.Context, url string, into any) error {
	return ask(ctx, http.MethodGet, url, "", into)
}

// ask sends a request that must succeed.
func ask(ctx context.Context, method, url, body string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s answers %d: %s", url, response.StatusCode, content)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(content, into)
}

// eventually repeats a check until it succeeds.
func eventually(ctx context.Context, within time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var last error // not the timeout's error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("not within %s", within), last)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// buy buys once and returns the event id.
func (s *secured) buy(ctx context.Context, shop, user string) (string, error) {
	var answer struct {
		Data struct {
			EventID string `json:"eventId"`
		} `json:"data"`
	}
	err := ask(ctx, http.MethodPost, s.platform.url(shop)+"/api/v1/buy", fmt.Sprintf(`{"username":%q,"userid":%q,"price":1}`, user, user), &answer)
	return answer.Data.EventID, err
}

// listed waits until a purchase is in the user's list.
func (s *secured) listed(ctx context.Context, shop, user, eventID string) error {
	return eventually(ctx, 90*time.Second, func(ctx context.Context) error {
		var purchases []struct {
			EventID string `json:"eventId"`
		}
		if err := s.get(ctx, s.platform.url(shop)+"/api/v1/getAllUserBuys/"+user, &purchases); err != nil {
			return err
		}
		for _, p := range purchases {
			if p.EventID == eventID {
				return nil
			}
		}
		return fmt.Errorf("%s is not among %d purchases", eventID, len(purchases))
	})
}

// log returns what an instance has logged.
func (s *secured) log(instance string) string {
	data, err := os.ReadFile(filepath.Join(s.dir, instance+".log"))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// The platform on brokers with TLS and authentication. They are started once: each part
// leaves them as it found them.
func TestSecured(t *testing.T) {
	s := startSecured(t, nil)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"topics makes the access list", s.testAuthorize},
		{"every service does its work", s.testWork},
		{"nobody may do more than is granted", s.testAccess},
		{"a service that is not let in says why", s.testIdentity},
		{"a service with another's credential says what it may not do", s.testSwapped},
		{"grants that go and come back", s.testRevoked},
		{"a certificate that expires and is renewed", s.testExpired},
	} {
		if !t.Run(part.name, part.run) {
			return // the next ones depend on it
		}
	}
}

// The first run creates topics and access list, the second changes nothing, and the third
// revokes what was granted by hand.
func (s *secured) testAuthorize(t *testing.T) {
	output, err := s.authorize(t.Context(), nil)
	must(t, err)
	if !strings.Contains(output, "outcome=changed") || !strings.Contains(output, "outcome=created") {
		t.Errorf("the first run:\n%s", output)
	}
	output, err = s.authorize(t.Context(), nil)
	must(t, err)
	if strings.Contains(output, "outcome=changed") || strings.Contains(output, "outcome=created") || !strings.Contains(output, "outcome=unchanged") {
		t.Errorf("the second run:\n%s", output)
	}

	admin, err := s.brokers.Admin()
	must(t, err)
	defer admin.Close()
	byHand := kadm.NewACLs().Topics("orders").ResourcePatternType(kadm.ACLPatternLiteral).
		Allow("User:web-server", "User:*").AllowHosts("*").Operations(kadm.OpWrite)
	_, err = admin.CreateACLs(t.Context(), byHand)
	must(t, err)
	var all string
	must(t, eventually(t.Context(), 30*time.Second, func(ctx context.Context) error {
		output, err := s.authorize(ctx, nil) // its broker may not know of the grant yet
		if err != nil {
			return err
		}
		all += output
		for _, user := range []string{"web-server", "*"} {
			if !strings.Contains(all, "user="+user+" outcome=changed") {
				return fmt.Errorf("%s keeps what was granted by hand:\n%s", user, all)
			}
		}
		return nil
	}))
}

// Each service runs with what the stack gives it, and does everything that it does.
func (s *secured) testWork(t *testing.T) {
	ctx := t.Context()
	for _, service := range []string{"management-api", "consumer", "api", "producer", "web-server"} {
		must(t, s.start(service, service, "RATE=20"))
	}
	for _, service := range []string{"management-api", "consumer", "api", "producer", "web-server"} {
		ready, cancel := context.WithTimeout(ctx, time.Minute)
		if err := s.platform.awaitReady(ready, service); err != nil {
			t.Errorf("%v\n%s", err, s.log(service))
		}
		cancel()
	}
	if t.Failed() {
		return
	}

	id, err := s.buy(ctx, "web-server", "ada")
	must(t, err)
	must(t, s.listed(ctx, "web-server", "ada", id))

	api := s.platform.url("api")
	must(t, eventually(ctx, time.Minute, func(ctx context.Context) error {
		var totals []json.RawMessage
		if err := s.get(ctx, api+"/messages?topic=product-totals&limit=5", &totals); err != nil {
			return err
		}
		if len(totals) == 0 {
			return errors.New("no totals yet")
		}
		return nil
	}))
	var messages, topics, groups []json.RawMessage
	must(t, s.get(ctx, api+"/messages?topic=purchases&limit=1", &messages))
	must(t, s.get(ctx, api+"/topics", &topics))
	must(t, s.get(ctx, api+"/groups", &groups))
	if len(messages) != 1 || len(topics) < 5 || len(groups) < 2 {
		t.Errorf("%d messages, %d topics, %d groups", len(messages), len(topics), len(groups))
	}
	var brokers struct{ Controller *int }
	must(t, s.get(ctx, api+"/brokers", &brokers))
	if brokers.Controller == nil {
		t.Error("api may not know which node is the controller")
	}

	// A dead letter is produced, and put back.
	admin, err := s.brokers.Admin()
	must(t, err)
	defer admin.Close()
	must(t, s.produce(ctx, "purchases", "no purchase"))
	must(t, eventually(ctx, 30*time.Second, func(ctx context.Context) error {
		ends, err := admin.ListEndOffsets(ctx, "purchases.dlq")
		if err != nil {
			return err
		}
		var letters int64
		ends.Each(func(o kadm.ListedOffset) { letters += o.Offset })
		if letters != 1 {
			return fmt.Errorf("%d letters", letters)
		}
		return nil
	}))
	env, err := s.environ("Deployment", "management-api")
	must(t, err)
	output, err := s.platform.run(ctx, "management-api", list(env), "replay-dlq", "--all")
	if err != nil || !strings.Contains(output, "1 letters read, 1 put back") {
		t.Errorf("replay-dlq: %v\n%s", err, output)
	}

	// KEDA requests the lag with its own credential.
	client, err := kgo.NewClient(append(s.asKEDA, kgo.SeedBrokers(s.brokers.Address(0)))...)
	must(t, err)
	keda := kadm.NewClient(client)
	defer keda.Close()
	for group, topic := range map[string]string{"management-api-group": "purchases", "consumer-service-group": "orders"} {
		must(t, eventually(ctx, 30*time.Second, func(ctx context.Context) error {
			ends, err := keda.ListEndOffsets(ctx, topic)
			if err := errors.Join(err, ends.Error()); err != nil {
				return err
			}
			committed, err := keda.FetchOffsets(ctx, group)
			if err := errors.Join(err, committed.Error()); err != nil {
				return err
			}
			if len(committed) == 0 {
				return fmt.Errorf("no offsets of %s yet", group)
			}
			return nil
		}))
	}
}

// produce writes a record directly to Kafka.
func (s *secured) produce(ctx context.Context, topic, value string) error {
	client, err := kgo.NewClient(append(s.secrets.As(cluster.AdminUser), kgo.SeedBrokers(s.brokers.Address(0)))...)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr()
}
