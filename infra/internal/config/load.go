package config

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Project is the name in Pulumi.yaml, which is the prefix of every key of a stack's configuration.
const Project = "shopstream"

// Load reads the configuration of a stack: the profile's defaults, overridden by the stack's settings. Keys are without
// the project's name; objects, numbers and booleans are JSON, as pulumi passes them. It returns all faults at once, and a
// configuration with defaults for the values that could not be read.
func Load(values map[string]string) (Config, Secrets, error) {
	profile, set := values["profile"]
	if !set {
		profile = Default
	}
	var faults []error
	if _, err := Defaults(profile); err != nil {
		faults = append(faults, err)
	}
	c := profileDefaults(profile)

	fields := fieldsByKey(reflect.ValueOf(&c).Elem())
	var secrets Secrets
	secretFields := fieldsByKey(reflect.ValueOf(&secrets).Elem())
	for _, key := range slices.Sorted(maps.Keys(values)) {
		switch {
		case secretFields[key].IsValid():
			secretFields[key].SetString(values[key])
		case fields[key].IsValid():
			faults = append(faults, decode(key, raw(values[key], fields[key]), fields[key])...)
		default:
			faults = append(faults, Fault(key, "there is no such key; there are %s",
				strings.Join(slices.Sorted(maps.Keys(fields)), ", ")))
		}
	}
	faults = append(faults, besideExternal(values)...)
	c.Kafka.complete()
	c.Ingress.complete()
	faults = append(faults, c.completeTracing()...)
	return c, secrets, errors.Join(faults...)
}

// raw returns a value as JSON: objects, numbers and booleans are JSON already, text is not.
func raw(text string, field reflect.Value) json.RawMessage {
	if field.Kind() == reflect.String {
		quoted, err := json.Marshal(text)
		if err == nil {
			return quoted
		}
	}
	return json.RawMessage(text)
}

// FromPulumi returns the settings of a stack from PULUMI_CONFIG, a JSON object. They are read all at once: a program that
// reads one key at a time doesn't notice a misspelt one.
func FromPulumi(encoded string) (map[string]string, error) {
	if encoded == "" {
		return nil, nil
	}
	var all map[string]string
	if err := json.Unmarshal([]byte(encoded), &all); err != nil {
		// Not the error itself, which may quote a secret.
		return nil, errors.New("reading the stack's configuration: PULUMI_CONFIG is not a JSON object of strings")
	}
	return ofProject(all), nil
}

// ofProject keeps the keys of this project, without its name.
func ofProject(all map[string]string) map[string]string {
	settings := map[string]string{}
	for key, value := range all {
		if name, ours := strings.CutPrefix(key, Project+":"); ours {
			settings[name] = value
		}
	}
	return settings
}
