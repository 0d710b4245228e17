package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/podtest"
)

// One instance may own all partitions, each with as many products as it accepts. It keeps to
// the memory of its pod while it counts them and when it reads their totals back.
func TestTheTotalsOfAllProductsFitIntoThePod(t *testing.T) {
	t.Parallel()
	pod := podtest.Of(t, "consumer")
	const partitions, perPartition = 24, 5000
	w := newWorld(t, partitions)
	orders := func(each int) {
		t.Helper()
		for n := 0; n < partitions*perPartition*11/10; n += 10_000 {
			var records []*kgo.Record
			for i := range 10_000 {
				product := fmt.Sprintf("%0*d", usualName, n+i)
				records = append(records, w.order(n+i, product, int64(each)))
			}
			w.Produce(t, records...)
		}
	}
	start := func(name string) (p *process, all func() bool) {
		t.Helper()
		p = w.spawn(t, name, pod.Environ...)
		i := &instance{}
		return p, func() bool {
			if addr := p.out.Value("serving", "addr"); addr != "" {
				i.url = "http://" + addr
			}
			return i.url != "" && i.metric(t, "totals_in_memory") == partitions*perPartition
		}
	}
	p, all := start("a")
	orders(1)
	await(t, "all are counted", all)
	pod.Within(t, p.cmd.Process.Pid, "counting")
	w.awaitDone(t)
	orders(2)
	w.awaitDone(t)
	pod.Within(t, p.cmd.Process.Pid, "counting again")
	p.kill()
	w.expel(t)
	p, all = start("a")
	await(t, "all are read back", all)
	pod.Within(t, p.cmd.Process.Pid, "reading back")
	if strings.Contains(p.out.String(), "can't be restored") {
		t.Error("they are incomplete")
	}
}
