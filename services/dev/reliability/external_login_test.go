package main

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"shopstream/services/dev/reliability/cluster"
)

// The platform on a cluster that others own, with what a stack with
// kafka.external gives each workload: TLS, and a password by SCRAM-SHA-512.
// Topics are made by a user who may, and compared by one who may not; all
// services do their work with one credential.
func TestServicesLogInToAClusterOfOthersBySCRAM(t *testing.T) {
	s := startSecured(t, map[string]string{
		"KAFKA_SASL_ENABLED_MECHANISMS":                                 "PLAIN,SCRAM-SHA-512",
		"KAFKA_LISTENER_NAME_CLIENT_SCRAM___SHA___512_SASL_JAAS_CONFIG": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
	})
	s.ownUsers(t, "shop", "owner")
	owned := *s
	var err error
	owned.manifests, err = os.ReadFile(filepath.Join(filepath.Dir(os.Getenv("KAFKA_SECURED_MANIFEST")), "prod-with-an-external-kafka.yaml"))
	must(t, err)
	owned.secrets = cluster.DeclaredSecrets(owned.manifests)
	maps.Copy(owned.secrets["kafka-clients"], credentials(owned.secrets["kafka-clients"], "shop"))
	maps.Copy(owned.secrets["kafka-admin"], credentials(owned.secrets["kafka-admin"], "owner"))
	owned.secrets["kafka-authority"]["ca.crt"] = s.authority.PEM()
	for _, name := range []string{"kafka-users", "kafka-certificate"} { // by which the test itself connects
		owned.secrets[name] = s.secrets[name]
	}

	owned.asKEDA = s.asGuest("shop")

	out, err := owned.authorize(t.Context(), nil)
	if err != nil || !strings.Contains(out, "outcome=created") {
		t.Fatalf("topics of an owner who may make them: %v\n%s", err, out)
	}
	out, err = owned.authorize(t.Context(), func(env map[string]string) {
		env["KAFKA_SASL_USERNAME"], env["KAFKA_SASL_PASSWORD"] = "shop", "password of shop"
	})
	if err != nil || strings.Contains(out, "outcome=created") || strings.Contains(out, "outcome=changed") || !strings.Contains(out, "outcome=unchanged") {
		t.Errorf("topics of a guest who may not: %v\n%s", err, out)
	}
	out, err = owned.authorize(t.Context(), func(env map[string]string) {
		env["KAFKA_SASL_PASSWORD"], env["TIMEOUT"] = "another password", "20s"
	})
	if err == nil || !strings.Contains(out, "KAFKA_SASL_PASSWORD is wrong") {
		t.Errorf("a wrong password: %v\n%s", err, out)
	}
	owned.testWork(t)
}

// credentials are the values of a Secret that gives each client the same user.
func credentials(declared map[string]string, user string) map[string]string {
	values := map[string]string{}
	for key := range declared {
		switch {
		case strings.HasSuffix(key, ".username"):
			values[key] = user
		case strings.HasSuffix(key, ".password"):
			values[key] = "password of " + user
		}
	}
	return values
}

// ownUsers is what the owner of a cluster does for a guest: a user for its
// services, who may use any topic and make none, and one who makes topics.
func (s *secured) ownUsers(t *testing.T, services, topics string) {
	t.Helper()
	ctx := t.Context()
	admin, err := s.brokers.Admin()
	must(t, err)
	defer admin.Close()
	for _, user := range []string{services, topics} {
		answers, err := admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: "password of " + user}})
		must(t, err)
		for _, answer := range answers {
			must(t, answer.Err)
		}
	}
	everything := func(user string, operations ...kadm.ACLOperation) *kadm.ACLBuilder {
		return kadm.NewACLs().Topics("*").Groups("*").TransactionalIDs("*").Clusters().
			ResourcePatternType(kadm.ACLPatternLiteral).Allow("User:" + user).AllowHosts("*").Operations(operations...)
	}
	for _, granted := range []*kadm.ACLBuilder{
		everything(services, kadm.OpRead, kadm.OpWrite, kadm.OpDescribe, kadm.OpDescribeConfigs, kadm.OpIdempotentWrite),
		everything(topics, kadm.OpDescribe, kadm.OpDescribeConfigs, kadm.OpCreate, kadm.OpAlter, kadm.OpAlterConfigs),
	} {
		answers, err := admin.CreateACLs(ctx, granted)
		must(t, err)
		for _, answer := range answers {
			must(t, answer.Err)
		}
	}
	// Brokers learn of both a moment later.
	client, err := kgo.NewClient(append(s.asGuest(services), kgo.SeedBrokers(s.brokers.Address(0)))...)
	must(t, err)
	defer client.Close()
	must(t, eventually(ctx, time.Minute, func(ctx context.Context) error {
		metadata, err := kadm.NewClient(client).BrokerMetadata(ctx)
		if err == nil && len(metadata.Brokers) != s.brokers.Nodes() {
			err = errors.New("not all brokers are known")
		}
		return err
	}))
}

// asGuest returns client options that authenticate by SCRAM.
func (s *secured) asGuest(user string) []kgo.Opt {
	trusting := s.secrets.As(user)[0]
	return []kgo.Opt{trusting, kgo.SASL(scram.Auth{User: user, Pass: "password of " + user}.AsSha512Mechanism())}
}
