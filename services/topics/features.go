package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"shopstream/services/internal/retry"
)

// feature is a feature of the brokers (KIP-584): its finalized level, and the highest
// level that every broker supports.
type feature struct {
	name           string
	finalized, can int16
}

// metadataVersion is the feature that the others depend on.
const metadataVersion = "metadata.version"

// outstanding returns the features that can be finalized at a higher level, in the order
// in which to do it. kraft.version is not among them: raising it can't be undone, and
// changes how voters are found.
func outstanding(brokers []map[string]int16, finalized map[string]int16) []feature {
	var list []feature
	if len(brokers) == 0 {
		return nil
	}
	for name, can := range brokers[0] {
		for _, b := range brokers[1:] {
			can = min(can, b[name]) // 0 if a broker doesn't know it
		}
		if name != "kraft.version" && can > finalized[name] {
			list = append(list, feature{name: name, finalized: finalized[name], can: can})
		}
	}
	slices.SortFunc(list, func(a, b feature) int {
		if (a.name == metadataVersion) != (b.name == metadataVersion) {
			if a.name == metadataVersion {
				return -1
			}
			return 1
		}
		return slices.Compare([]byte(a.name), []byte(b.name))
	})
	return list
}

// finalize raises the cluster's features, one by one, to what the release that all
// brokers run supports. It waits until they could have been raised for the soak time
// without a broker being unreachable. After that the brokers can't run the older release
// again.
func (m *mover) finalize(ctx context.Context, count int, soak time.Duration) error {
	var since time.Time
	for {
		left, err := m.outstanding(ctx, count)
		switch {
		case err != nil:
			since = time.Time{}
			m.log.Warn("not all brokers are up: the wait before features are finalized starts over", "error", err)
		case len(left) == 0:
			m.log.Info("all features are finalized")
			return nil
		case since.IsZero():
			since = time.Now()
			m.log.Info("features will be finalized", "after", soak.String(), "features", fmt.Sprint(left))
		}
		if err == nil && time.Since(since) >= soak {
			return m.raise(ctx, left)
		}
		if !retry.Sleep(ctx, min(10*time.Second, max(soak, time.Second))) {
			return fmt.Errorf("waiting to finalize features: %w", context.Cause(ctx))
		}
	}
}

func (m *mover) raise(ctx context.Context, features []feature) error {
	for _, f := range features {
		result, err := m.admin.UpdateFeatures(ctx, false, kadm.FeatureUpdate{Feature: f.name, MaxVersionLevel: f.can, UpgradeType: 1})
		if err == nil {
			err = result.Error()
		}
		if err != nil {
			return fmt.Errorf("finalizing %s at %d: %w", f.name, f.can, err)
		}
		m.log.Info("finalized a feature", "feature", f.name, "from", f.finalized, "to", f.can)
	}
	return nil
}

// writeFeatures writes the finalized level of each of the cluster's features, as one line
// of JSON.
func (m *mover) writeFeatures(ctx context.Context, w io.Writer) error {
	_, finalized, err := m.features(ctx)
	if len(finalized) == 0 {
		return fmt.Errorf("no broker answers with the cluster's features: %w", err)
	}
	if err := json.NewEncoder(w).Encode(finalized); err != nil {
		return fmt.Errorf("writing the features: %w", err)
	}
	return nil
}

// outstanding asks every broker. It fails unless there are count of them.
func (m *mover) outstanding(ctx context.Context, count int) ([]feature, error) {
	brokers, finalized, err := m.features(ctx)
	if len(brokers) < count {
		err = errors.Join(err, fmt.Errorf("only %d of %d brokers answer", len(brokers), count))
	}
	return outstanding(brokers, finalized), err
}

// features returns the highest levels that each broker supports, and those that the
// cluster has finalized.
func (m *mover) features(ctx context.Context) (brokers []map[string]int16, finalized map[string]int16, err error) {
	versions, err := m.admin.ApiVersions(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("requesting the brokers' features: %w", err)
	}
	finalized = map[string]int16{}
	var faults []error
	for id, v := range versions {
		if v.Err != nil {
			faults = append(faults, fmt.Errorf("broker %d: %w", id, v.Err))
			continue
		}
		supported := map[string]int16{}
		for _, f := range v.Raw().SupportedFeatures {
			supported[f.Name] = f.MaxVersion
		}
		brokers = append(brokers, supported)
		for _, f := range v.Raw().FinalizedFeatures {
			finalized[f.Name] = max(finalized[f.Name], f.MaxVersionLevel)
		}
	}
	return brokers, finalized, errors.Join(faults...)
}
