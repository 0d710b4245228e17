package platform

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/addon"
	"shopstream/infra/internal/config"
	"shopstream/infra/internal/plan"
)

// unreachable is what a run needs but can't reach. A preview continues: it warns, and shows what depends on it as unknown.
// An up stops before it has created anything.
type unreachable struct {
	daemon bool

	// charts are the names of those whose folder or repository is unreachable.
	charts []string
}

// checkReachable determines what is unreachable.
func (h Host) checkReachable(ctx *pulumi.Context, c config.Config) (unreachable, error) {
	var missing unreachable
	var faults []error
	var warnings []string
	if c.Images.Build {
		if err := h.daemon(c.Images.DockerHost); err != nil {
			missing.daemon = true
			faults = append(faults, fmt.Errorf("no images can be built: %w: start Docker, or set images.build to false", err))
			warnings = append(warnings, fmt.Sprintf(
				"No Docker daemon answers, so this preview can't tell whether images would be built: %v", err))
		}
	}
	charts := plan.Charts(c)
	for i, err := range findAll(charts, h.chart) {
		if err == nil {
			continue
		}
		fault := fmt.Errorf("chart %s: %w: set addons.repository to a mirror or addons.folder to a folder with the charts, "+
			"or leave the addon out", charts[i].Name, err)
		faults = append(faults, fault)
		warnings = append(warnings, fmt.Sprintf("This preview can't tell whether a release would change: %v", fault))
		missing.charts = append(missing.charts, charts[i].Name)
	}
	if !ctx.DryRun() {
		return missing, errors.Join(faults...)
	}
	for _, warning := range warnings {
		if err := ctx.Log.Warn(warning, nil); err != nil {
			return unreachable{}, fmt.Errorf("logging: %w", err)
		}
	}
	return missing, nil
}

// findAll checks all charts at the same time, since an unreachable repository takes as long as its timeout.
func findAll(charts []addon.Chart, look func(addon.Chart) error) []error {
	found := make([]error, len(charts))
	var all sync.WaitGroup
	for i, chart := range charts {
		all.Go(func() { found[i] = look(chart) })
	}
	all.Wait()
	return found
}

// mark returns the charts, with unreachable ones marked as unknown.
func (u unreachable) mark(charts []addon.Chart) []addon.Chart {
	marked := slices.Clone(charts)
	for i := range marked {
		marked[i].Unknown = slices.Contains(u.charts, marked[i].Name)
	}
	return marked
}

// findChart returns nil if a chart is in its folder, or its repository answers.
func findChart(chart addon.Chart) error {
	if chart.Folder != "" {
		if _, err := os.Stat(filepath.Join(chart.Folder, chart.Name, "Chart.yaml")); err != nil {
			return fmt.Errorf("looking in addons.folder, which is relative to infra: %w", err)
		}
		return nil
	}
	if chart.InRegistry() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	index := strings.TrimSuffix(chart.Repository, "/") + "/index.yaml"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, index, http.NoBody)
	if err != nil {
		return fmt.Errorf("calling the chart repository: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("calling the chart repository: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		err = fmt.Errorf("calling the chart repository: %s answers %s", index, response.Status)
	}
	return errors.Join(err, response.Body.Close())
}
