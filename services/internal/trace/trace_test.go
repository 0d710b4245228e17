package trace_test

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"shopstream/services/internal/trace"
)

// Where nothing is traced, asking costs no memory.
func TestOffAllocatesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context()) // a context as a request has it
	defer cancel()
	var off *trace.Tracer
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h"})
	if allocations := testing.AllocsPerRun(1000, func() {
		if off.On() {
			t.Error("it is on")
		}
		trace.Observe(ctx, histogram, 1)
		trace.ObserveID("", histogram, 1)
		trace.Note(ctx, "key", "value")
	}); allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
	off.Stop(ctx)
}
