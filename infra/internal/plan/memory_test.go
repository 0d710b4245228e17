package plan

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
)

func TestReadingFitsAnyMemory(t *testing.T) {
	for memory, want := range map[string][2]string{
		"64Mi": {"1", "3355443"}, "128Mi": {"2", "5033164"}, "256Mi": {"4", "5872025"}, "1Gi": {"4", "26004684"},
	} {
		env := reading(resource.MustParse(memory))
		if got := [2]string{env[0].Value, env[1].Value}; got != want {
			t.Errorf("%s: got %q, want %q", memory, got, want)
		}
	}
}
