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

What [reliability](reliability.md) promises without exception has an alert for each exception. What can be counted has an objective: so many
of a hundred, over thirty days. The rest may be bad, and is used up faster or slower.

| objective | promise | of a hundred |
|---|---|---|
`)
	for _, o := range Objectives() {
		fmt.Fprintf(&page, "| [%s](alerts.md#%s) | %s | %g |\n", o.Name, strings.ToLower(o.Name), o.Promise, 100*o.Target)
	}
	page.WriteString(`
Each has two alerts. ` + "`…BurnsFast`" + ` (critical) fires if bad events come so fast that the thirty days' are used up within days, and
` + "`…BurnsSlowly`" + ` (warning) within weeks: in a long window, so that it is no accident, and in a short one, so that it ends soon after its cause.

| alert | bad events, in multiples of what is allowed | in the last | and in the last | used up of the thirty days' |
|---|---|---|---|---|
`)
	for _, severity := range []string{critical, warning} {
		for _, b := range burns()[severity] {
			fmt.Fprintf(&page, "| %s | %g | %s | %s | %s |\n", map[string]string{critical: "`…BurnsFast`", warning: "`…BurnsSlowly`"}[severity], b.rate, b.long, b.short, b.used)
		}
	}
	page.WriteString(`
With few events, one that is bad may be a large share, so each takes ten bad events or more in the long window. Prometheus counts what it has: where ` + "`addons.prometheusRetention`" + ` is less than three
days, the longest window is as long as that.
`)
	golden.Compare(t, "../../../docs/infra-objectives.md", []byte(page.String()))
}
