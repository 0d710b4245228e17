package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// store holds files by name. A file is complete, or doesn't exist.
type store interface {
	// put creates a file from what write writes. If write fails, there is no file.
	put(ctx context.Context, name string, write func(io.Writer) error) error

	// get returns fs.ErrNotExist if there is no such file.
	get(ctx context.Context, name string) (io.ReadCloser, error)
	names(ctx context.Context) ([]string, error)

	// remove does nothing if there is no such file: another run may have deleted it.
	remove(ctx context.Context, name string) error
}

// folder is a store in the file system.
type folder string

// unfinished is the suffix of a file that is being written.
const unfinished = ".part"

func (f folder) path(name string) string { return filepath.Join(string(f), name) }

func (f folder) put(_ context.Context, name string, write func(io.Writer) error) error {
	part := f.path(name + unfinished)
	file, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return fmt.Errorf("creating %s: %w", part, err)
	}
	err = write(file)
	if err == nil {
		err = file.Sync() // a full disk may be reported only now
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(part, f.path(name))
	}
	if err != nil {
		_ = os.Remove(part)
		return fmt.Errorf("writing %s: %w", part, err)
	}
	return f.sync()
}

// sync makes the files' names durable.
func (f folder) sync() error {
	dir, err := os.Open(string(f))
	if err != nil {
		return fmt.Errorf("opening the folder of the dumps: %w", err)
	}
	defer func() { _ = dir.Close() }()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("syncing the folder of the dumps: %w", err)
	}
	return nil
}

func (f folder) get(_ context.Context, name string) (io.ReadCloser, error) {
	file, err := os.Open(f.path(name))
	if err != nil {
		return nil, fmt.Errorf("opening a dump: %w", err)
	}
	return file, nil
}

func (f folder) names(context.Context) ([]string, error) {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return nil, fmt.Errorf("listing the folder of the dumps: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

func (f folder) remove(_ context.Context, name string) error {
	if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting a dump: %w", err)
	}
	return nil
}
