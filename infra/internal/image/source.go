// Package image builds the images of the services. An image's tag is a digest of exactly what goes into it: unchanged
// sources are the same image, and are neither built nor rolled out again.
package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// dockerfile is the one that builds every service.
const dockerfile = "Dockerfile"

// sources returns the files that go into the image of a service, sorted: the Dockerfile, what the services share, and
// the service itself. Tests and notes are left out, so that changing them changes no image.
func sources(services fs.FS, service string) ([]string, error) {
	files := []string{dockerfile}
	for _, folder := range []string{"internal", service} {
		err := fs.WalkDir(services, folder, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && skippedFolder(entry.Name()):
				return fs.SkipDir
			case entry.Type().IsRegular() && !skippedFile(entry.Name()):
				files = append(files, name)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading the sources of %q: %w", service, err)
		}
	}
	slices.Sort(files)
	return files, nil
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
	for _, name := range sortedKeys(arguments) {
		fmt.Fprintf(sum, "%s=%s\n", name, arguments[name])
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// stage makes folder hold those files and nothing else. The folder, and not the tree of all services, is what Docker
// gets: so a change to one service is no change to the others' images. A file that is as it should be is left alone.
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

// reference is the full name of an image.
func reference(registry, service, tag string) string {
	return path.Join(registry, "shopstream", service) + ":" + tag
}
