package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"gopkg.in/yaml.v3"
)

// ReadStackFile returns the plain settings in a stack's file, Pulumi.<stack>.yaml, in the form that Load takes. Secrets
// are left out: they are encrypted. It reads YAML as pulumi does, for which yes is a text, and which refuses a key that is
// given twice.
func ReadStackFile(name string) (map[string]string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the stack: %w", err)
	}
	var file stackFile
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading %q: %w", name, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading %q: there is more after the first document, which pulumi would ignore: remove it", name)
	}
	all := map[string]string{}
	for written, value := range file.Config {
		key, err := withOwner(written)
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", name, err)
		}
		if _, twice := file.Config[key]; twice && key != written {
			return nil, fmt.Errorf("reading %q: %q and %q are the same setting: remove one of them", name, written, key)
		}
		if value == nil || isEncrypted(value) {
			continue
		}
		text, isText := value.(string)
		if !isText {
			encoded, err := json.Marshal(withTextKeys(value))
			if err != nil {
				return nil, fmt.Errorf("reading %q of %q: it has a number that is not finite: put it in quotes", key, name)
			}
			text = string(encoded)
		}
		all[key] = text
	}
	return ofProject(all), nil
}

// withTextKeys turns the keys of maps into texts, such as the ports in a chart's values, as pulumi does.
func withTextKeys(value any) any {
	switch v := value.(type) {
	case map[any]any:
		texts := make(map[string]any, len(v))
		for key, inner := range v {
			texts[fmt.Sprint(key)] = withTextKeys(inner)
		}
		return texts
	case map[string]any:
		for key, inner := range v {
			v[key] = withTextKeys(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = withTextKeys(inner)
		}
	}
	return value
}

// stackFile is everything that a stack's file can have. Pulumi ignores any other key.
type stackFile struct {
	Config          map[string]any `yaml:"config"`
	Environment     any            `yaml:"environment"`
	SecretsProvider string         `yaml:"secretsprovider"`
	EncryptedKey    string         `yaml:"encryptedkey"`
	EncryptionSalt  string         `yaml:"encryptionsalt"`
}

// withOwner returns the key with the project's name, which pulumi adds where there is none. It refuses an owner that is like the
// project's name, since the setting would be ignored. Those of providers, such as kubernetes:cluster, are theirs.
func withOwner(key string) (string, error) {
	owner, name, owned := strings.Cut(key, ":")
	switch {
	case !owned:
		return Project + ":" + key, nil
	case owner != Project && strings.HasPrefix(strings.ToLower(owner), "shop"):
		return "", fmt.Errorf("%q would be ignored: write it %q", key, Project+":"+name)
	}
	return key, nil
}

// isEncrypted distinguishes `apiToken: {secure: AAAB…}` from `kafka: {secure: true}`, as pulumi does.
func isEncrypted(value any) bool {
	object, _ := value.(map[string]any)
	_, isText := object["secure"].(string)
	return isText && len(object) == 1
}
