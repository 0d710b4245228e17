package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Secrets are the keys that are set with `pulumi config set --secret`. What is not set is empty here.
type Secrets struct {
	// APIToken is the bearer token that `api` asks for. Empty leaves it open; the production profile requires it.
	APIToken string `json:"apiToken"`

	// MongoURI is the address of a database that stands elsewhere, for `mongo.external`.
	MongoURI string `json:"mongoUri"`

	// MongoPassword is the password of the services' MongoDB user: 16 letters and digits or more. One is generated when
	// it is not set.
	MongoPassword string `json:"mongoPassword"`

	// KafkaCertificate is the key of the Kafka nodes followed by their certificate, both PEM, for every name in
	// `*.kafka-nodes.shop-data.svc.cluster.local`, `*.kafka-controller-nodes.shop-data.svc.cluster.local` and
	// `kafka.shop-data.svc.cluster.local`, with the common name `kafka`, for servers and clients. With `kafka.secure`, one is
	// made that lasts five years when it is not set.
	KafkaCertificate string `json:"kafkaCertificate"`

	// KafkaAuthority is the certificate of who signed `kafkaCertificate`, or several one after the other while one takes the
	// place of another.
	KafkaAuthority string `json:"kafkaAuthority"`

	// KafkaPasswords is passwords of users of Kafka as JSON, such as `{"web-server": "…"}`: 16 letters and digits or more.
	// The others' are generated.
	KafkaPasswords string `json:"kafkaPasswords"`

	// RegistryPassword goes with `images.registryUsername`.
	RegistryPassword string `json:"registryPassword"`
}

// settings reads one key of the stack's configuration, and says whether it is set.
type settings func(key string) (value string, set bool)

// load reads the configuration of the stack: the profile's defaults and, over them, what the stack sets. It returns
// all faults at once.
func load(values settings, keys []string) (Config, Secrets, error) {
	profile, set := values("profile")
	if !set {
		profile = profileDefault
	}
	c, err := defaults(profile)
	if err != nil {
		// Without a profile the other keys have no defaults to be judged by.
		return Config{}, Secrets{}, err
	}

	fields := fieldsByKey(reflect.ValueOf(&c).Elem())
	var secrets Secrets
	secretFields := fieldsByKey(reflect.ValueOf(&secrets).Elem())

	var faults []error
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if text, set := values(key); set {
			faults = append(faults, decode(key, raw(text, fields[key]), fields[key])...)
		}
	}
	for key, field := range secretFields {
		text, _ := values(key)
		field.SetString(text)
	}
	for _, key := range keys {
		if fields[key].IsValid() || secretFields[key].IsValid() {
			continue
		}
		faults = append(faults, fmt.Errorf("%s: there is no such key; there are %s", key,
			strings.Join(slices.Sorted(maps.Keys(fields)), ", ")))
	}
	return c, secrets, errors.Join(faults...)
}

// raw makes JSON of a value as pulumi hands it over: objects, numbers and booleans are JSON already, text is not.
func raw(text string, field reflect.Value) json.RawMessage {
	if field.Kind() == reflect.String {
		quoted, err := json.Marshal(text)
		if err == nil {
			return quoted
		}
	}
	return json.RawMessage(text)
}

// setKeys returns the names of the keys that a stack sets in this project, out of what pulumi hands to the program.
// The program asks for one key at a time, so a misspelt one would never be noticed.
func setKeys(encoded, project string) []string {
	var all map[string]string
	if err := json.Unmarshal([]byte(encoded), &all); err != nil {
		return nil
	}
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if name, ok := strings.CutPrefix(key, project+":"); ok {
			keys = append(keys, name)
		}
	}
	return keys
}

// stackSettings is the configuration of the stack that runs.
func stackSettings(ctx *pulumi.Context) settings {
	return func(key string) (string, bool) { return ctx.GetConfig(ctx.Project() + ":" + key) }
}
