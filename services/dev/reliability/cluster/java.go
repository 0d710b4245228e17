package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

//go:embed pom.xml
var pom []byte

// ErrNotInstalled is wrapped if a program that the brokers need is missing.
var ErrNotInstalled = errors.New("not installed")

// Java returns the path of Java 17 or newer.
func Java(ctx context.Context) (string, error) {
	path := "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		path = filepath.Join(home, "bin", "java")
	}
	path, err := exec.LookPath(path)
	if err != nil {
		return "", fmt.Errorf("%w: Java 17 or newer (Debian, Ubuntu: apt-get install openjdk-17-jre-headless maven; macOS: brew install openjdk maven)", ErrNotInstalled)
	}
	output, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("asking %s for its version: %w: %s", path, err, output)
	}
	found := regexp.MustCompile(`version "(\d+)`).FindSubmatch(output)
	if found == nil {
		return "", fmt.Errorf("reading the version of %s: %s", path, output)
	}
	if major, err := strconv.Atoi(string(found[1])); err != nil || major < 17 {
		return "", fmt.Errorf("%w: %s is Java %s, Apache Kafka 4 needs 17 or newer", ErrNotInstalled, path, found[1])
	}
	return path, nil
}

// Jars returns the folder with the jars of a release of Apache Kafka; empty is the
// one in pom.xml. Maven downloads them once, checks them against the repository's
// checksums, and keeps them in the user's cache folder, under a name that changes
// with the versions.
func Jars(ctx context.Context, release string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder: %w", err)
	}
	sum := sha256.Sum256(pom)
	dir := filepath.Join(cache, "shopstream", "kafka-"+release+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return "", fmt.Errorf("%w: Maven, which fetches Apache Kafka's jars (Debian, Ubuntu: apt-get install maven; macOS: brew install maven)", ErrNotInstalled)
	}
	// Created beside the final folder and renamed: an interrupted download leaves nothing
	// that looks complete.
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("making the cache folder: %w", err)
	}
	partial, err := os.MkdirTemp(filepath.Dir(dir), "kafka-partial-")
	if err != nil {
		return "", fmt.Errorf("making the cache folder: %w", err)
	}
	defer os.RemoveAll(partial)
	project := filepath.Join(partial, "pom.xml")
	if err := os.WriteFile(project, pom, 0o644); err != nil {
		return "", fmt.Errorf("writing %s: %w", project, err)
	}
	var output bytes.Buffer
	arguments := []string{"--quiet", "--batch-mode", "--strict-checksums", "--file", project,
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=" + filepath.Join(partial, "jars")}
	if release != "" {
		arguments = append(arguments, "-Dkafka.version="+release)
	}
	fetch := exec.CommandContext(ctx, mvn, arguments...)
	fetch.Stdout, fetch.Stderr = &output, &output
	if err := fetch.Run(); err != nil {
		return "", fmt.Errorf("fetching Apache Kafka's jars: %w\n%s", err, output.String())
	}
	if err := os.Rename(filepath.Join(partial, "jars"), dir); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("keeping Apache Kafka's jars: %w", err)
	}
	return dir, nil
}
