package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// manifests returns the complete dumps, newest first.
func manifests(ctx context.Context, s store) ([]manifest, error) {
	names, err := s.names(ctx)
	if err != nil {
		return nil, err
	}
	var complete []manifest
	for _, file := range names {
		name, is := strings.CutSuffix(file, manifestSuffix)
		if _, ours := startOf(file); !ours || !is {
			continue
		}
		m, err := readManifest(ctx, s, name)
		if err != nil {
			return nil, err
		}
		complete = append(complete, m)
	}
	slices.SortFunc(complete, func(a, b manifest) int { return strings.Compare(b.Name, a.Name) })
	return complete, nil
}

func readManifest(ctx context.Context, s store, name string) (manifest, error) {
	var m manifest
	file, err := s.get(ctx, name+manifestSuffix)
	if err != nil {
		return m, err
	}
	defer func() { _ = file.Close() }()
	if err := json.NewDecoder(io.LimitReader(file, 1<<20)).Decode(&m); err != nil {
		return m, fmt.Errorf("reading the manifest %s: %w", name+manifestSuffix, err)
	}
	if m.Name != name {
		return m, fmt.Errorf("%s is the manifest of the dump %q: it was renamed", name+manifestSuffix, m.Name)
	}
	return m, nil
}

// newest returns the newest complete dump; false if there is none.
func newest(ctx context.Context, s store) (manifest, bool, error) {
	complete, err := manifests(ctx, s)
	if err != nil || len(complete) == 0 {
		return manifest{}, false, err
	}
	return complete[0], true, nil
}

// abandonedAfter is the age from which an incomplete dump counts as abandoned, not as
// being written.
const abandonedAfter = 24 * time.Hour

// retain deletes all complete dumps except the newest keep, and the files of abandoned
// dumps.
func retain(ctx context.Context, s store, keep int, now time.Time) (deleted []string, err error) {
	complete, err := manifests(ctx, s)
	if err != nil {
		return nil, err
	}
	kept := map[string]bool{}
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
