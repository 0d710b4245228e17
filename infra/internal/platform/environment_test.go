package platform

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shopstream/infra/internal/plan"
)

// variable is one variable that a service reads.
type variable struct {
	Name     string `json:"name"`
	Required bool   `json:"required"`
	Secret   bool   `json:"secret"`
}

// TestServicesReadWhatTheyAreGiven compares each service's environment with the list of variables that it reads.
func TestServicesReadWhatTheyAreGiven(t *testing.T) {
	eachStack(t, func(t *testing.T, stack testStack, declared resources) {
		c, _ := stack.parsed(t)
		for _, name := range plan.Images(c) {
			data, err := os.ReadFile(filepath.Join("..", "..", "..", "services", name, "env.json"))
			if err != nil {
				t.Errorf("what %s reads is not known: %v", name, err)
				continue
			}
			var known []variable
			if err := json.Unmarshal(data, &known); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			given := environment(t, declared, name)
			reads := map[string]bool{}
			for _, v := range known {
				reads[v.Name] = true
				value, isGiven := given[v.Name]
				if v.Required && !isGiven {
					t.Errorf("%s needs %s, and is not given it", name, v.Name)
				}
				if v.Secret && isGiven && value.ValueFrom == nil && !strings.Contains(value.Value, "$(") {
					t.Errorf("%s is given the secret %s in plain", name, v.Name)
				}
			}
			for key := range given {
				// Read by Go and by the C library.
				if !reads[key] && key != "GOMEMLIMIT" && key != "MALLOC_ARENA_MAX" && !isReferenced(t, declared, name, key) {
					t.Errorf("%s is given %s, which it does not read", name, key)
				}
			}
		}
	})
}

// isReferenced reports whether a variable exists only because another one refers to it.
func isReferenced(t *testing.T, declared resources, workload, key string) bool {
	t.Helper()
	for _, e := range environment(t, declared, workload) {
		if strings.Contains(e.Value, "$("+key+")") {
			return true
		}
	}
	return false
}
