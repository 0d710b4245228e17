package config

import (
	"encoding/json"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

// ReadStackFile returns the plain settings in a stack's file, Pulumi.<stack>.yaml, in the form that Load takes. Secrets
// are left out: they are encrypted.
func ReadStackFile(name string) (map[string]string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the stack: %w", err)
	}
	var file struct {
		Config map[string]any `json:"config"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("reading %q: %w", name, err)
	}
	all := map[string]string{}
	for key, value := range file.Config {
		if isEncrypted(value) {
			continue
		}
		text, isText := value.(string)
		if !isText {
			encoded, err := json.Marshal(value)
			if err != nil {
				return nil, fmt.Errorf("reading %q of %q: %w", key, name, err)
			}
			text = string(encoded)
		}
		all[key] = text
	}
	return ofProject(all), nil
}

// isEncrypted distinguishes `apiToken: {secure: AAAB…}` from `kafka: {secure: true}`, as pulumi does.
func isEncrypted(value any) bool {
	object, _ := value.(map[string]any)
	_, isText := object["secure"].(string)
	return isText && len(object) == 1
}
