package plan

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/kafka"
)

// KafkaPasswords returns the passwords that the stack sets, by SASL username.
func KafkaPasswords(s config.Secrets) (map[string]string, error) {
	if s.KafkaPasswords == "" {
		return nil, nil
	}
	var passwords map[string]string
	if err := json.Unmarshal([]byte(s.KafkaPasswords), &passwords); err != nil {
		// Not the error itself, which may quote a password.
		return nil, errors.New("kafkaPasswords: is not a JSON object of passwords by user; write it like {\"api\": \"…\"}")
	}
	return passwords, nil
}

// CheckCredentials returns the faults of given credentials that would keep brokers from starting, or clients from connecting.
func CheckCredentials(c config.Config, s config.Secrets, now time.Time) []error {
	var faults []error
	for _, given := range []struct{ key, value string }{
		{"kafkaCertificate", s.KafkaCertificate}, {"kafkaAuthority", s.KafkaAuthority}, {"kafkaPasswords", s.KafkaPasswords},
	} {
		switch {
		case given.value != "" && c.Kafka.IsExternal():
			faults = append(faults, config.Fault(given.key, "is set, but kafka.external is too, which has its own credentials (kafkaCredentials): remove it"))
		case given.value != "" && !c.Kafka.Secure:
			faults = append(faults, config.Fault(given.key, "is set, but kafka.secure is not: set it to true, or remove this"))
		}
	}
	if c.Kafka.IsExternal() {
		return append(faults, checkKafkaCredentials(c, s)...)
	}
	passwords, err := KafkaPasswords(s)
	if err != nil {
		faults = append(faults, err)
	}
	for _, user := range slices.Sorted(maps.Keys(passwords)) {
		faults = append(faults, config.OneOf("kafkaPasswords", user, Users(c)...)...)
		if !config.StrongPassword(passwords[user]) {
			faults = append(faults, config.Fault("kafkaPasswords",
				"that of %q is written into the brokers' settings without escapes: use 16 letters and digits or more, and nothing else", user))
		}
	}
	switch {
	case (s.KafkaCertificate == "") != (s.KafkaAuthority == ""):
		faults = append(faults, config.Fault("kafkaCertificate", "is set without kafkaAuthority, or the other way round: set both, or neither"))
	case s.KafkaCertificate != "":
		faults = append(faults, checkCertificate(c, s, now)...)
	}
	return faults
}

// checkCertificate verifies a given certificate as nodes and clients will.
func checkCertificate(c config.Config, s config.Secrets, now time.Time) []error {
	pair, err := tls.X509KeyPair([]byte(s.KafkaCertificate), []byte(s.KafkaCertificate))
	if err != nil {
		return []error{config.Fault("kafkaCertificate", "is not a private key followed by its certificate, both in PEM: %v", err)}
	}
	if !strings.HasPrefix(strings.TrimSpace(s.KafkaCertificate), "-----BEGIN PRIVATE KEY") {
		return []error{config.Fault("kafkaCertificate", "doesn't begin with a private key in PKCS #8, the only format that brokers read: "+
			"convert it with openssl pkcs8 -topk8 -nocrypt")}
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM([]byte(s.KafkaAuthority)) {
		return []error{config.Fault("kafkaAuthority", "is not a certificate in PEM")}
	}
	var faults []error
	leaf := pair.Leaf
	if got := leaf.Subject.String(); got != "CN="+kafka.NodeName {
		faults = append(faults, config.Fault("kafkaCertificate", "has the subject %q: nodes authenticate one another as CN=%s; issue it with that subject and nothing more", got, kafka.NodeName))
	}
	between := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		if certificate, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(certificate)
		}
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots: authorities, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
		})
		if err != nil {
			faults = append(faults, config.Fault("kafkaCertificate", "would be refused by clients or between nodes: %v", err))
			break
		}
	}
	for _, host := range kafka.Hosts(DataNamespace, c.Cluster.Domain) {
		if c.Kafka.Controllers == 0 && strings.Contains(host, kafka.ControllerName) {
			continue
		}
		if err := leaf.VerifyHostname(strings.Replace(host, "*", kafka.Name+"-0", 1)); err != nil {
			faults = append(faults, config.Fault("kafkaCertificate", "is not valid for the host name %s: issue it with that name", host))
		}
	}
	return faults
}
