package addon

import (
	"fmt"
	"strings"
	"testing"

	"shopstream/infra/internal/golden"
)

// TestObjectivesPage generates docs/infra-objectives.md.
func TestObjectivesPage(t *testing.T) {
	var page strings.Builder
	page.WriteString(`<!-- Generated from infra/internal/addon: go test -trimpath ./internal/addon -run TestObjectivesPage -update -->
# Objectives

What [reliability](reliability.md) promises without exception has an alert for each exception. What can be counted has an objective: the
percentage of events that must be good, over thirty days. The others are its error budget.

| objective | promise | percent |
|---|---|---|
`)
	for _, o := range Objectives() {
		fmt.Fprintf(&page, "| [%s](alerts.md#%s) | %s | %g |\n", o.Name, strings.ToLower(o.Name), o.Promise, 100*o.Target)
	}
	page.WriteString(`
Each has two alerts on how fast the budget is burnt: ` + "`…BurnsFast`" + ` (critical) if it would be used up within days, ` + "`…BurnsSlowly`" + ` (warning)
within weeks. Both look at a long window, so that it is no accident, and at a short one, so that the alert ends soon after its cause.

| alert | burn rate | long window | short window | budget used in the long window |
|---|---|---|---|---|
`)
	for _, severity := range []string{critical, warning} {
		for _, b := range burns()[severity] {
			fmt.Fprintf(&page, "| %s | %g | %s | %s | %s |\n", map[string]string{critical: "`…BurnsFast`", warning: "`…BurnsSlowly`"}[severity], b.rate, b.long, b.short, b.used)
		}
	}
	page.WriteString(`
With few events a single bad one may be a large share, so each alert needs ten bad events in the long window. Where
` + "`addons.prometheusRetention`" + ` is less than three days, the longest window is as long as that.
`)
	golden.Compare(t, "../../../docs/infra-objectives.md", []byte(page.String()))
}
