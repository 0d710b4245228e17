package main

import (
	"strings"
	"testing"
)

// TestTopicsOfOthersAreVerified runs the topics Job on an external cluster, as a user that
// may describe every topic and change none.
func TestTopicsOfOthersAreVerified(t *testing.T) {
	s := startSecured(t, nil)
	if _, err := s.authorize(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	asReader := func(change func(topics string) string) (string, error) {
		return s.authorize(t.Context(), func(env map[string]string) {
			delete(env, "ACLS")
			delete(env, "BROKERS") // nothing is moved in a cluster of others
			env["EXTERNAL"], env["TIMEOUT"] = "true", "20s"
			env["KAFKA_SASL_USERNAME"], env["KAFKA_SASL_PASSWORD"] = "api", s.secrets.Password("api")
			env["TOPICS"] = change(env["TOPICS"])
		})
	}
	out, err := asReader(func(topics string) string { return topics })
	if err != nil || !strings.Contains(out, "outcome=unchanged") {
		t.Fatalf("topics as declared: %v\n%s", err, out)
	}
	out, err = asReader(func(topics string) string { return strings.ReplaceAll(topics, `"partitions":24`, `"partitions":22`) })
	if err != nil || !strings.Contains(out, "has 24 partitions, declared are 22") {
		t.Errorf("topics with more than declared: %v\n%s", err, out)
	}
	out, err = asReader(func(topics string) string { return strings.ReplaceAll(topics, `"partitions":24`, `"partitions":26`) })
	if said := out; err == nil || !strings.Contains(said+err.Error(), "has 24 partitions and needs 26") {
		t.Errorf("topics with less than declared: %v\n%s", err, out)
	}
	out, err = asReader(func(topics string) string { return strings.ReplaceAll(topics, `"name":"orders"`, `"name":"sales"`) })
	if said := out; err == nil || !strings.Contains(said+err.Error(), "doesn't exist, or this user may not describe it") {
		t.Errorf("a missing topic: %v\n%s", err, out)
	}
}
