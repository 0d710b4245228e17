package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode"

	"shopstream/infra/internal/config"
)

// Credential is a user of an external Kafka.
type Credential struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// defaultCredential is the name of the credential for all clients without one of their own.
const defaultCredential = "default"

// ExternalClients returns the names of all clients of an external Kafka.
func ExternalClients(c config.Config) []string { return append(Clients(c), TopicsJob) }

// KafkaCredentials returns the credential of each client of an external Kafka. Those of a preview may be empty.
func KafkaCredentials(c config.Config, s config.Secrets) (map[string]Credential, error) {
	given, err := givenCredentials(s)
	if err != nil {
		return nil, err
	}
	credentials := map[string]Credential{}
	for _, client := range ExternalClients(c) {
		credentials[client] = given[defaultCredential]
		if own, found := given[client]; found {
			credentials[client] = own
		}
	}
	return credentials, nil
}

func givenCredentials(s config.Secrets) (map[string]Credential, error) {
	if s.KafkaCredentials == "" {
		return nil, nil
	}
	var given map[string]Credential
	decoder := json.NewDecoder(bytes.NewReader([]byte(s.KafkaCredentials)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&given); err != nil || decoder.More() {
		// Not the error itself, which may quote a password.
		return nil, errors.New("kafkaCredentials: is not a JSON object of users; write it like {\"default\": {\"username\": \"…\", \"password\": \"…\"}}")
	}
	return given, nil
}

// checkKafkaCredentials returns the faults of credentials that would keep a client from connecting.
func checkKafkaCredentials(c config.Config, s config.Secrets) []error {
	given, err := givenCredentials(s)
	if err != nil {
		return []error{err}
	}
	if given == nil {
		return nil // reported with kafka.external.sasl, or a preview
	}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(given)) {
		faults = append(faults, config.OneOf("kafkaCredentials", name, append([]string{defaultCredential}, ExternalClients(c)...)...)...)
		if !usable(given[name].Username) || !usable(given[name].Password) {
			faults = append(faults, config.Fault("kafkaCredentials", "%q needs a username and a password, without line breaks and without spaces around them", name))
		}
	}
	if _, all := given[defaultCredential]; all {
		return faults
	}
	for _, client := range ExternalClients(c) {
		if _, found := given[client]; !found {
			faults = append(faults, config.Fault("kafkaCredentials", "has no user for %s: add one under that name, or one for all under %q", client, defaultCredential))
		}
	}
	return faults
}

// usable reports whether every client uses a text unchanged: KEDA trims spaces.
func usable(text string) bool {
	return text != "" && strings.TrimSpace(text) == text && !strings.ContainsFunc(text, unicode.IsControl)
}
