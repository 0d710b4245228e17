package plan

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
)

func TestReadingFitsAnyMemory(t *testing.T) {
	for memory, want := range map[string][2]string{
		"64Mi": {"1", "2796202"}, "128Mi": {"2", "4194304"}, "256Mi": {"4", "4893354"}, "1Gi": {"4", "21670570"},
	} {
		env := reading(resource.MustParse(memory))
		if got := [2]string{env[0].Value, env[1].Value}; got != want {
			t.Errorf("%s: got %q, want %q", memory, got, want)
		}
	}
}
