package config

import (
	"crypto/x509"
	"encoding/json"
	"net"
	"slices"
	"strconv"
	"strings"
)

// ExternalKafka describes a Kafka cluster that others run, and how to connect to it.
type ExternalKafka struct {
	// BootstrapServers are the brokers to connect to first, such as `b-1.example.com:9096`. If they are set, the stack
	// declares no Kafka of its own.
	BootstrapServers []string `json:"bootstrapServers"`

	// Addresses are the CIDR blocks of all brokers.
	Addresses []string `json:"addresses"`

	// Namespace is where the brokers run, if that is in the same Kubernetes cluster. It can be set instead of addresses.
	Namespace string `json:"namespace"`

	// Ports are additional ports of brokers, if they advertise others than those of the bootstrap servers.
	Ports []int `json:"ports"`

	// TLS encrypts the connections. The production profile requires it.
	TLS bool `json:"tls"`

	// Authority is the certificate authorities that sign the brokers' certificates, in PEM. Empty means the system's.
	Authority string `json:"authority"`

	// SASL is the mechanism for authentication with the secret `kafkaCredentials`: `PLAIN`, `SCRAM-SHA-256` or
	// `SCRAM-SHA-512`. Empty means no authentication. The production profile requires one.
	SASL string `json:"sasl"`

	// ReplicationFactor is the number of replicas of every partition. All but one of them must have a record before it is
	// acknowledged.
	ReplicationFactor int `json:"replicationFactor"`
}

// IsExternal reports whether others run the Kafka cluster.
func (k Kafka) IsExternal() bool { return len(k.External.BootstrapServers) > 0 }

// complete removes the settings of the brokers that an external cluster replaces.
func (k *Kafka) complete() {
	if k.IsExternal() {
		*k = Kafka{External: k.External}
	}
}

// BrokerPorts returns the ports of an external cluster.
func (e ExternalKafka) BrokerPorts() []int {
	ports := slices.Clone(e.Ports)
	for _, server := range e.BootstrapServers {
		_, port, _ := net.SplitHostPort(server)
		if number, err := strconv.Atoi(port); err == nil {
			ports = append(ports, number)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// besideExternal returns a fault for each key that describes the stack's own Kafka or database although an external one is
// set, and for an external Kafka without an address. It reads what the stack sets: after the defaults are applied, a
// setting can't be told from a default.
func besideExternal(values map[string]string) []error {
	set := func(section string) map[string]json.RawMessage {
		var keys map[string]json.RawMessage
		_ = json.Unmarshal([]byte(values[section]), &keys) // decode reports faults
		return keys
	}
	given := func(keys map[string]json.RawMessage, section, external string, fits ...string) []error {
		var faults []error
		for key := range keys {
			if !slices.Contains(fits, key) {
				faults = append(faults, Fault(section+"."+key, "is set, but %s is too, which others run: remove one of the two", external))
			}
		}
		slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return faults
	}
	var faults []error
	kafka := set("kafka")
	var external map[string]json.RawMessage
	_ = json.Unmarshal(kafka["external"], &external)
	var servers []string
	_ = json.Unmarshal(external["bootstrapServers"], &servers)
	switch {
	case len(servers) > 0:
		faults = append(faults, given(kafka, "kafka", "kafka.external", "external")...)
	case len(external) > 0:
		faults = append(faults, Fault("kafka.external.bootstrapServers", "is empty, but other keys of kafka.external are set: name the brokers, or remove kafka.external"))
	}
	mongo := set("mongo")
	if string(mongo["external"]) == "true" {
		faults = append(faults, given(mongo, "mongo", "mongo.external", "external", "externalAddresses", "externalPort", "database")...)
	}
	return faults
}

func checkExternalKafka(e ExternalKafka, s Secrets, preview bool) []error {
	const key = "kafka.external."
	faults := slices.Concat(
		cidrs(key+"addresses", e.Addresses),
		ports(key+"ports", e.Ports...),
		OneOf(key+"sasl", e.SASL, "", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
		between(key+"replicationFactor", e.ReplicationFactor, 1, 10),
	)
	for _, server := range e.BootstrapServers {
		faults = append(faults, bootstrapServer(key+"bootstrapServers", server)...)
	}
	if e.Namespace != "" {
		faults = append(faults, namespaceName(key+"namespace", e.Namespace)...)
	}
	if len(e.Addresses) == 0 && e.Namespace == "" {
		faults = append(faults, Fault(key+"addresses", "is empty, so the network policies would refuse the brokers: set their CIDR blocks, or "+
			"kafka.external.namespace if they run in this cluster"))
	}
	if e.Authority != "" {
		faults = append(faults, authorities(key+"authority", e.Authority)...)
		if !e.TLS {
			faults = append(faults, Fault(key+"authority", "is set, but kafka.external.tls is not: set it to true, or remove the authority"))
		}
	}
	if e.SASL == "PLAIN" && !e.TLS {
		faults = append(faults, Fault(key+"sasl", "PLAIN sends the password as it is: set kafka.external.tls to true, or use SCRAM-SHA-512"))
	}
	switch {
	case e.SASL == "" && s.KafkaCredentials != "":
		faults = append(faults, Fault("kafkaCredentials", "is set, but kafka.external.sasl is not: set the mechanism, or remove the credentials"))
	case e.SASL != "" && s.KafkaCredentials == "" && !preview:
		faults = append(faults, Fault("kafkaCredentials", "is not set, but kafka.external.sasl is: run pulumi config set --secret kafkaCredentials"))
	}
	return faults
}

// bootstrapServer checks the address of a broker, host:port.
func bootstrapServer(key, server string) []error {
	host, port, err := net.SplitHostPort(server)
	if err != nil || !isPort(port) || !isHost(host) {
		return []error{Fault(key, "%q is not the address of a broker: write it like b-1.example.com:9096, one entry for each, without a scheme", server)}
	}
	return notThePod(key, host)
}

// authorities checks certificates in PEM.
func authorities(key, text string) []error {
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(text)) {
		return []error{Fault(key, "is not a certificate in PEM: begin it with -----BEGIN CERTIFICATE-----")}
	}
	return nil
}
