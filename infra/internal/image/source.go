// Package image builds the images of the services. An image's tag is a digest of exactly what goes into it: unchanged
// sources are the same image, and are neither built nor rolled out again.
package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// dockerfile builds every service.
const dockerfile = "Dockerfile"

// module is the import path of what the services share.
const module = "shopstream/services/internal"

// sources returns the files that go into the image of a service, sorted: the Dockerfile, the service's folder, and the
// shared packages that it imports, directly or through others. Tests and notes are left out, so that changing them changes
// no image.
func sources(services fs.FS, service string) ([]string, error) {
	files := []string{dockerfile}
	seen := map[string]bool{}
	imported := []string{"internal"} // folders whose files are still to be added; the first has go.mod and go.sum
	add := func(name string) error {
		files = append(files, name)
		if path.Ext(name) != ".go" {
			return nil
		}
		imports, err := sharedImports(services, name)
		for _, folder := range imports {
			if !seen[folder] {
				seen[folder] = true
				imported = append(imported, folder)
			}
		}
		return err
	}
	if err := walk(services, service, add); err != nil {
		return nil, fmt.Errorf("reading the sources of %q: %w", service, err)
	}
	for len(imported) > 0 {
		folder := imported[0]
		imported = imported[1:]
		entries, err := fs.ReadDir(services, folder)
		if err != nil {
			return nil, fmt.Errorf("reading the sources of %q: %w", service, err)
		}
		for _, entry := range entries {
			if entry.Type().IsRegular() && !skippedFile(entry.Name()) {
				if err := add(path.Join(folder, entry.Name())); err != nil {
					return nil, fmt.Errorf("reading the sources of %q: %w", service, err)
				}
			}
		}
	}
	slices.Sort(files)
	return files, nil
}

// sharedImports returns the folders of the shared packages that a Go file imports.
func sharedImports(services fs.FS, name string) ([]string, error) {
	content, err := fs.ReadFile(services, name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, content, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var folders []string
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if folder, ok := strings.CutPrefix(imported, module+"/"); ok {
			folders = append(folders, path.Join("internal", folder))
		}
	}
	return folders, nil
}

// walk calls visit for every file in a folder that is part of an image.
func walk(services fs.FS, folder string, visit func(name string) error) error {
	return fs.WalkDir(services, folder, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skippedFolder(entry.Name()):
			return fs.SkipDir
		case entry.Type().IsRegular() && !skippedFile(entry.Name()):
			return visit(name)
		}
		return nil
	})
}

func skippedFolder(name string) bool {
	return name == "testdata" || strings.HasPrefix(name, ".") && name != "."
}

func skippedFile(name string) bool {
	return strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".md") || strings.HasPrefix(name, ".")
}

// digest returns the tag of an image made of these files with these build arguments.
func digest(services fs.FS, files []string, arguments map[string]string) (string, error) {
	sum := sha256.New()
	for _, name := range files {
		content, err := fs.ReadFile(services, name)
		if err != nil {
			return "", fmt.Errorf("reading %q: %w", name, err)
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(content))
		sum.Write(content)
	}
	for _, name := range slices.Sorted(maps.Keys(arguments)) {
		fmt.Fprintf(sum, "%s=%s\n", name, arguments[name])
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// stage makes folder contain exactly those files. Docker gets this folder, not all services, so that a change to one
// service doesn't change the others' images. Unchanged files are left alone.
func stage(services fs.FS, files []string, folder string) error {
	wanted := map[string]bool{}
	for _, name := range files {
		content, err := fs.ReadFile(services, name)
		if err != nil {
			return fmt.Errorf("reading %q: %w", name, err)
		}
		target := filepath.Join(folder, filepath.FromSlash(name))
		wanted[target] = true
		if present, err := os.ReadFile(target); err == nil && string(present) == string(content) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return fmt.Errorf("staging %q: %w", name, err)
		}
		if err := os.WriteFile(target, content, 0o644); err != nil {
			return fmt.Errorf("staging %q: %w", name, err)
		}
	}
	return removeOthers(folder, wanted)
}

func removeOthers(folder string, wanted map[string]bool) error {
	return filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || wanted[name] {
			return err
		}
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("removing a file that is no longer a source: %w", err)
		}
		return nil
	})
}

// reference returns the full name of an image.
func reference(registry, service, tag string) string {
	return path.Join(registry, "shopstream", service) + ":" + tag
}
