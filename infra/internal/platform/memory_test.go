package platform

import (
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/plan"
)

// TestServicesStayWithinTheirMemory compares the maximum memory of each service with the limit of its container.
func TestServicesStayWithinTheirMemory(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		for _, p := range podTemplates(t, declared) {
			if p.kind != "Deployment" {
				continue
			}
			env := environment(t, declared, p.name)
			limit := p.spec.Containers[0].Resources.Limits.Memory().Value()
			heap := resource.MustParse(strings.TrimSuffix(env["GOMEMLIMIT"].Value, "B"))
			if heap.Value() > limit/2 || heap.Value() < limit/4 {
				t.Errorf("%s: a heap of %s in %d bytes", p.name, heap.String(), limit)
			}
			if p.name != plan.API {
				continue
			}
			readers, bytes := number(t, env["READ_CONCURRENCY"].Value), number(t, env["READ_BYTES_LIMIT"].Value)
			if worst := readers*6*bytes + 16<<20; worst > limit/2 {
				t.Errorf("%d readers of %d bytes may take %d bytes, of %d", readers, bytes, worst, limit)
			}
			if bytes < 2<<20 {
				t.Errorf("a reader gets %d bytes: no page of a thousand small records fits", bytes)
			}
		}
	})
}

func number(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
