package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// manifests returns the complete dumps, newest first, and the names of those that can't
// be judged by their manifest, each with the reason. One bad file stops neither new
// dumps nor the restoring of others.
func (b *backup) manifests(ctx context.Context) (complete []manifest, broken map[string]error, err error) {
	names, err := b.dumps.names(ctx)
	if err != nil {
		return nil, nil, err
	}
	broken = map[string]error{}
	for _, file := range names {
		name, is := strings.CutSuffix(file, manifestSuffix)
		start, ours := startOf(file)
		if !ours || !is {
			continue
		}
		m, err := readManifest(ctx, b.dumps, name)
		switch {
		case errors.Is(err, fs.ErrNotExist): // another dump has just deleted it
		case errors.Is(err, errManifest):
			broken[name] = err
		case err != nil:
			return nil, nil, err
		case start.Sub(b.now()) > clockError:
			// It would be the newest for as long, and every later dump would be deleted first.
			broken[name] = fmt.Errorf("the dump %s is from the future, so a clock was or is wrong: if it isn't needed, delete its files", name)
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
	text, err := io.ReadAll(io.LimitReader(file, 1<<20))
	if err != nil {
		return m, fmt.Errorf("reading %s: %w", name+manifestSuffix, err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("reading %s: %w: %w", name+manifestSuffix, errManifest, err)
	}
	if m.Name != name {
		return m, fmt.Errorf("reading %s: %w: it is that of the dump %q, so it was renamed", name+manifestSuffix, errManifest, m.Name)
	}
	return m, nil
}

// clockError is how much the clocks of two nodes may differ.
const clockError = time.Hour

// sweep deletes the files of dumps that were never completed. What started longer ago
// than a dump may take is no longer being written. Those with a broken manifest stay,
// since their data may be whole.
func (b *backup) sweep(ctx context.Context, complete []manifest, broken map[string]error) error {
	names, err := b.dumps.names(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for _, file := range names {
		start, ours := startOf(file)
		name, _, _ := strings.Cut(file, ".")
		whole := broken[name] != nil || slices.ContainsFunc(complete, func(m manifest) bool { return m.Name == name })
		if ours && !whole && !strings.HasSuffix(file, manifestSuffix) && b.now().Sub(start) > b.cfg.Timeout+clockError {
			if err := b.dumps.remove(ctx, file); err != nil {
				faults = append(faults, err)
				continue
			}
			b.log.Info("incomplete dump deleted", "file", file)
		}
	}
	return errors.Join(faults...)
}

// retain deletes all complete dumps except the newest BACKUP_KEEP, the one that was just
// made, and the one with the most purchases: none is ever removed from the database, so
// if later dumps hold fewer, some were lost.
func (b *backup) retain(ctx context.Context, made manifest) error {
	complete, _, err := b.manifests(ctx)
	if err != nil {
		return err
	}
	most := fullest(complete)
	if most.Documents > made.Documents {
		b.log.Error("an older dump holds more purchases, and is kept until its files are deleted: restore it to get back what is missing",
			"dump", most.Name, "purchases", most.Documents, "now", made.Documents)
	}
	var faults []error
	for i, m := range complete {
		if i < b.cfg.Keep || m.Name == made.Name || m.Name == most.Name && most.Documents > made.Documents {
			continue
		}
		// Delete the manifest first, so that no dump without data looks complete.
		err := b.dumps.remove(ctx, m.Name+manifestSuffix)
		if err == nil {
			err = b.dumps.remove(ctx, m.Name+dataSuffix)
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		b.log.Info("old dump deleted", "dump", m.Name)
	}
	return errors.Join(faults...)
}

// fullest returns the newest of the dumps with the most purchases; an empty one if there
// are none.
func fullest(complete []manifest) manifest {
	var most manifest
	for _, m := range complete {
		if m.Documents > most.Documents {
			most = m
		}
	}
	return most
}
