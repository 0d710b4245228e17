package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"shopstream/services/dev/reliability/cluster"
)

func services() []string {
	return []string{"web-server", "management-api", "consumer", "api", "producer"}
}

// says waits until an instance reports that it isn't ready, and why; or has ended with that
// reason, if its client can't recover and it has to be restarted.
func (s *secured) says(ctx context.Context, instance, why string) error {
	return eventually(ctx, 40*time.Second, func(ctx context.Context) error {
		if s.ended(instance) {
			if log := s.log(instance); !strings.Contains(log, why) {
				return fmt.Errorf("%s ended without saying %q:\n%s", instance, why, log)
			}
			return nil
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.platform.url(instance)+"/-/ready", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		var state struct{ Kafka string }
		if err := json.Unmarshal(body, &state); err != nil {
			return err
		}
		if response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(state.Kafka, why) {
			return fmt.Errorf("%s says %d %s", instance, response.StatusCode, state.Kafka)
		}
		if log := s.log(instance); !strings.Contains(log, "kafka refuses this service") {
			return fmt.Errorf("the log of %s doesn't say so:\n%s", instance, log)
		}
		return nil
	})
}

func (s *secured) ended(instance string) bool {
	select {
	case <-s.platform.processes[instance].exited:
		return true
	default:
		return false
	}
}

// Whatever prevents a client from connecting, each service names it, and the fix.
func (s *secured) testIdentity(t *testing.T) {
	ctx := t.Context()
	stranger, err := cluster.NewAuthority("somebody else")
	must(t, err)
	other := filepath.Join(s.dir, "somebody-else.pem")
	must(t, os.WriteFile(other, []byte(stranger.PEM()), 0o600))
	plaintext := []string{"KAFKA_SECURITY_PROTOCOL=plaintext", "KAFKA_SASL_MECHANISM=", "KAFKA_SASL_USERNAME=", "KAFKA_SASL_PASSWORD="}
	faults := []struct {
		name    string
		changes []string
		why     string
	}{
		{"password", []string{"KAFKA_SASL_PASSWORD=wrong"}, "KAFKA_SASL_PASSWORD is wrong"},
		{"plaintext", plaintext, "speaks TLS, but KAFKA_SECURITY_PROTOCOL is plaintext"},
		{"authority", []string{"KAFKA_TLS_CA_FILE=" + other}, "signed by no authority in KAFKA_TLS_CA_FILE"},
		{"name", []string{"KAFKA_BOOTSTRAP_SERVERS=" + strings.ReplaceAll(s.brokers.BootstrapServers(), loopback, "localhost")}, "connect by a name that is in the certificate"},
	}
	for _, fault := range faults {
		for _, service := range services() {
			must(t, s.start(service+"-"+fault.name, service, fault.changes...))
		}
		for _, service := range services() {
			if err := s.says(ctx, service+"-"+fault.name, fault.why); err != nil {
				t.Errorf("%s: %v", fault.name, err)
			}
		}
		if _, err := s.buy(ctx, "web-server-"+fault.name, "ada"); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("%s: a purchase: %v", fault.name, err)
		}
		var ends sync.WaitGroup
		for _, service := range services() {
			ends.Go(func() { _ = s.platform.end(service+"-"+fault.name, syscall.SIGTERM) })
		}
		ends.Wait()
		for program, arguments := range map[string][]string{"topics": nil, "management-api": {"replay-dlq"}} {
			kind := map[string]string{"topics": "Job", "management-api": "Deployment"}[program]
			env, err := s.environ(kind, program)
			must(t, err)
			output, err := s.platform.run(ctx, program, append(append(list(env), "TIMEOUT=3s"), fault.changes...), arguments...)
			if err == nil || !strings.Contains(output, fault.why) {
				t.Errorf("%s: %s %v: %v\n%s", fault.name, program, arguments, err, output)
			}
		}
	}
	env, err := s.environ("Deployment", "api")
	must(t, err)
	output, err := s.platform.run(ctx, "api", append(list(env), "KAFKA_SASL_PASSWORD="))
	if err == nil || !strings.Contains(output, "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD are required") {
		t.Errorf("no password: %v\n%s", err, output)
	}
}

// need is a grant that a service can't work without.
type need struct{ operation, kind, name string }

func needs() map[string][]need {
	return map[string][]need{
		"web-server":     {{"Write", "topic", "purchases"}},
		"management-api": {{"Read", "topic", "purchases"}, {"Write", "topic", "purchases.dlq"}, {"Read", "group", "management-api-group"}},
		"consumer": {{"Write", "transactional id", "consumer-service-group-0"}, {"Read", "topic", "orders"}, {"Write", "topic", "orders.dlq"},
			{"Read", "topic", "product-totals"}, {"Write", "topic", "product-totals"}, {"Read", "group", "consumer-service-group"}},
		"producer": {{"Write", "topic", "orders"}},
	}
}

func (s *secured) users() ([]grants, error) {
	env, err := s.environ("Job", "topics")
	if err != nil {
		return nil, err
	}
	var users []grants
	return users, json.Unmarshal([]byte(env["ACLS"]), &users)
}

// Each service runs with the credential of each other one. Unless that has all grants that
// the service needs, the service names the missing one, and does nothing.
func (s *secured) testSwapped(t *testing.T) {
	ctx := t.Context()
	users, err := s.users()
	must(t, err)
	admin, err := s.brokers.Admin()
	must(t, err)
	defer admin.Close()
	for service, needed := range needs() {
		// The real ones are stopped: what is written now is written by an impostor.
		for _, running := range services() {
			must(t, s.platform.end(running, syscall.SIGTERM))
		}
		before, err := admin.ListEndOffsets(ctx)
		must(t, errors.Join(err, before.Error()))
		var refusals []string
		for _, user := range users {
			may := !slices.ContainsFunc(needed, func(n need) bool { return !user.may(n.operation, n.kind, n.name) })
			if user.User == "*" || may {
				continue // its own credential, or an equivalent one
			}
			instance := service + "-as-" + user.User
			must(t, s.start(instance, service, "KAFKA_SASL_USERNAME="+user.User, "KAFKA_SASL_PASSWORD="+s.secrets.Password(user.User),
				"TRANSACTIONAL_ID=consumer-service-group-0"))
			refusals = append(refusals, user.User)
		}
		for _, user := range refusals {
			instance := service + "-as-" + user
			why := fmt.Sprintf("user %q may not ", user)
			if service == "consumer" {
				why += "write with TRANSACTIONAL_ID" // no other user could fence it
			}
			if err := s.says(ctx, instance, why); err != nil {
				t.Error(err)
			}
			if service == "web-server" {
				if id, err := s.buy(ctx, instance, "eve"); err == nil {
					t.Errorf("%s bought %s", instance, id)
				}
			}
		}
		for _, user := range refusals {
			must(t, s.platform.end(service+"-as-"+user, syscall.SIGTERM))
		}
		after, err := admin.ListEndOffsets(ctx)
		must(t, errors.Join(err, after.Error()))
		after.Each(func(o kadm.ListedOffset) {
			was, _ := before.Lookup(o.Topic, o.Partition)
			if o.Offset != was.Offset && !strings.HasPrefix(o.Topic, "__") {
				t.Errorf("%s with another's credential wrote to %s", service, o.Topic)
			}
		})
		for _, resting := range services() {
			must(t, s.platform.restart(resting))
		}
		t.Logf("%s was refused as %s", service, strings.Join(refusals, ", "))
	}
	for _, service := range services() {
		must(t, s.platform.awaitReady(ctx, service))
	}
}

// A revoked grant stops the service that needs it, which names the grant. Once it is granted
// again, the service continues by itself, with nothing lost.
func (s *secured) testRevoked(t *testing.T) {
	ctx := t.Context()
	without := func(user string) func(map[string]string) {
		return func(env map[string]string) {
			var all []map[string]json.RawMessage
			if err := json.Unmarshal([]byte(env["ACLS"]), &all); err != nil {
				t.Fatal(err)
			}
			for _, u := range all {
				if string(u["user"]) == fmt.Sprintf("%q", user) {
					u["grants"] = json.RawMessage("[]")
				}
			}
			list, err := json.Marshal(all)
			must(t, err)
			env["ACLS"] = string(list)
		}
	}
	revoke := func(user string) {
		t.Helper()
		output, err := s.authorize(ctx, without(user))
		must(t, err)
		if !strings.Contains(output, "user="+user+" outcome=changed") {
			t.Fatalf("revoking from %s:\n%s", user, output)
		}
	}
	restore := func() {
		t.Helper()
		_, err := s.authorize(ctx, nil)
		must(t, err)
	}

	revoke("web-server")
	must(t, s.says(ctx, "web-server", `user "web-server" may not `))
	if id, err := s.buy(ctx, "web-server", "bob"); err == nil {
		t.Errorf("%s was bought", id)
	}
	restore()
	must(t, s.platform.awaitReady(ctx, "web-server"))
	id, err := s.buy(ctx, "web-server", "bob")
	must(t, err)
	must(t, s.listed(ctx, "web-server", "bob", id))

	revoke("management-api")
	must(t, s.says(ctx, "management-api", `user "management-api" may not `))
	id, err = s.buy(ctx, "web-server", "bob") // kept in Kafka meanwhile
	must(t, err)
	restore()
	must(t, s.platform.awaitReady(ctx, "management-api"))
	must(t, s.listed(ctx, "web-server", "bob", id))

	revoke("api")
	messages := s.platform.url("api") + "/messages?topic=purchases&limit=1"
	must(t, eventually(ctx, 20*time.Second, func(ctx context.Context) error {
		if err := s.get(ctx, messages, nil); err == nil || !strings.Contains(err.Error(), "403") {
			return fmt.Errorf("api still reads: %w", err)
		}
		return nil
	}))
	restore()
	must(t, eventually(ctx, 20*time.Second, func(ctx context.Context) error { return s.get(ctx, messages, nil) }))

	revoke("consumer")
	must(t, eventually(ctx, 40*time.Second, func(context.Context) error {
		if !s.ended("consumer") {
			return errors.New("the consumer runs on without any grant")
		}
		return nil
	}))
	if log := s.log("consumer"); !strings.Contains(log, "uthorization failed") {
		t.Errorf("the consumer ended without a reason:\n%s", log)
	}
	restore()
	must(t, s.platform.restart("consumer")) // as Kubernetes does
	must(t, s.platform.awaitReady(ctx, "consumer"))
	must(t, s.totalled(ctx))
}

// totalled waits until every order is counted.
func (s *secured) totalled(ctx context.Context) error {
	admin, err := s.brokers.Admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	return eventually(ctx, 40*time.Second, func(ctx context.Context) error {
		ends, err := admin.ListCommittedOffsets(ctx, "orders")
		if err := errors.Join(err, ends.Error()); err != nil {
			return err
		}
		counted, err := admin.FetchOffsets(ctx, "consumer-service-group")
		if err != nil {
			return err
		}
		var lag int64
		ends.Each(func(o kadm.ListedOffset) {
			at, _ := counted.Lookup(o.Topic, o.Partition)
			lag += max(o.Offset-at.At, 0)
		})
		if lag > 100 { // the producer continues
			return fmt.Errorf("lag %d", lag)
		}
		return nil
	})
}

// The brokers' certificate expires: clients that connect report it. Once it is renewed,
// every service continues by itself.
func (s *secured) testExpired(t *testing.T) {
	ctx := t.Context()
	expired, err := s.authority.Issue(loopback, time.Now().Add(-time.Hour))
	must(t, err)
	must(t, s.brokers.SetClientCertificate(ctx, expired))
	for _, service := range services() {
		must(t, s.platform.end(service, syscall.SIGTERM))
		must(t, s.platform.restart(service))
	}
	for _, service := range services() {
		if err := s.says(ctx, service, "renew it"); err != nil {
			t.Error(err)
		}
	}
	must(t, s.brokers.SetClientCertificate(ctx, ""))
	for _, service := range services() {
		ready, cancel := context.WithTimeout(ctx, time.Minute)
		if err := s.platform.awaitReady(ready, service); err != nil {
			t.Error(err)
		}
		cancel()
	}
	id, err := s.buy(ctx, "web-server", "cy")
	must(t, err)
	must(t, s.listed(ctx, "web-server", "cy", id))
	must(t, s.totalled(ctx))
}
