package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// A dump is two files: NAME.bson.gz contains the purchases as mongodump writes them,
// sorted by _id. NAME.json is written last: the dump is complete if it exists.
const (
	dataSuffix     = ".bson.gz"
	manifestSuffix = ".json"
	nameFormat     = "20060102T150405Z"
)

// namePrefix starts the names of all files of dumps. Other files are left alone.
const namePrefix = "purchases-"

// manifest describes a complete dump.
type manifest struct {
	Name       string    `json:"name"`
	Database   string    `json:"database"`
	Collection string    `json:"collection"`
	StartedAt  time.Time `json:"startedAt"`
	EndedAt    time.Time `json:"endedAt"`
	content
}

// content describes what a dump or a collection contains.
type content struct {
	Documents int64  `json:"documents"`
	Bytes     int64  `json:"bytes"`  // of BSON, before compression
	SHA256    string `json:"sha256"` // of the BSON: zcat NAME.bson.gz | sha256sum
}

func nameOf(start time.Time) string { return namePrefix + start.UTC().Format(nameFormat) }

// startOf returns when the dump that a file belongs to was started; false for a file
// that doesn't belong to a dump.
func startOf(file string) (time.Time, bool) {
	name, _, _ := strings.Cut(file, ".")
	text, ours := strings.CutPrefix(name, namePrefix)
	start, err := time.Parse(nameFormat, text)
	return start, ours && err == nil
}

// errManifest is wrapped by errors about the content of a manifest.
var errManifest = errors.New("its manifest is broken; if the dump isn't needed, delete its files")

// manifests returns the complete dumps, newest first, and the names of those whose
// manifest can't be read, each with the reason. One bad file stops neither new dumps
// nor the restoring of others.
func manifests(ctx context.Context, s store) (complete []manifest, broken map[string]error, err error) {
	names, err := s.names(ctx)
	if err != nil {
		return nil, nil, err
	}
	broken = map[string]error{}
	for _, file := range names {
		name, is := strings.CutSuffix(file, manifestSuffix)
		if _, ours := startOf(file); !ours || !is {
			continue
		}
		m, err := readManifest(ctx, s, name)
		switch {
		case errors.Is(err, errManifest):
			broken[name] = err
		case err != nil:
			return nil, nil, err
		default:
			complete = append(complete, m)
		}
	}
	slices.SortFunc(complete, func(a, b manifest) int { return strings.Compare(b.Name, a.Name) })
	return complete, broken, nil
}

// joined returns the errors of broken manifests as one, nil if there are none.
func joined(broken map[string]error) error {
	return errors.Join(slices.Collect(maps.Values(broken))...)
}

func readManifest(ctx context.Context, s store, name string) (manifest, error) {
	var m manifest
	file, err := s.get(ctx, name+manifestSuffix)
	if err != nil {
		return m, err
	}
	defer func() { _ = file.Close() }()
	if err := json.NewDecoder(io.LimitReader(file, 1<<20)).Decode(&m); err != nil {
		return m, fmt.Errorf("reading %s: %w: %w", name+manifestSuffix, errManifest, err)
	}
	if m.Name != name {
		return m, fmt.Errorf("reading %s: %w: it is that of the dump %q, so it was renamed", name+manifestSuffix, errManifest, m.Name)
	}
	return m, nil
}

// abandonedAfter is the age from which an incomplete dump counts as abandoned, not as
// being written.
const abandonedAfter = 24 * time.Hour

// retain deletes all complete dumps except the newest keep, and the files of abandoned
// dumps. Those with a broken manifest stay, since their data may be whole.
func retain(ctx context.Context, s store, keep int, now time.Time) (deleted []string, err error) {
	complete, broken, err := manifests(ctx, s)
	if err != nil {
		return nil, err
	}
	kept := map[string]bool{}
	for name := range broken {
		kept[name] = true
	}
	var faults []error
	remove := func(file string) {
		if err := s.remove(ctx, file); err != nil {
			faults = append(faults, err)
			return
		}
		deleted = append(deleted, file)
	}
	for i, m := range complete {
		if i < keep {
			kept[m.Name] = true
			continue
		}
		// Delete the manifest first, so that no dump without data looks complete.
		remove(m.Name + manifestSuffix)
	}
	names, err := s.names(ctx)
	if err != nil {
		return deleted, errors.Join(append(faults, err)...)
	}
	tooOld := slices.DeleteFunc(slices.Clone(complete), func(m manifest) bool { return kept[m.Name] })
	for _, file := range names {
		start, ours := startOf(file)
		name, _, _ := strings.Cut(file, ".")
		outdated := slices.ContainsFunc(tooOld, func(m manifest) bool { return m.Name == name })
		if ours && !kept[name] && !strings.HasSuffix(file, manifestSuffix) && (outdated || now.Sub(start) > abandonedAfter) {
			remove(file)
		}
	}
	return deleted, errors.Join(faults...)
}
