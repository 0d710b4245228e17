// Package contract compares the services with their openapi.yaml, using the tools with which
// users generate clients and tests from it.
package contract

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/oapi-codegen/runtime" // generated clients import it
)

// described are the services with a description.
var described = []string{"web-server", "management-api", "api"}

func specOf(service string) string { return root + "/services/" + service + "/openapi.yaml" }

func TestContract(t *testing.T) {
	p := start(t)
	t.Run("Go clients", p.goClients)
	t.Run("TypeScript clients", p.typeScriptClients)
	t.Run("spectral", spectral)
	t.Run("schemathesis", p.schemathesis)
}

// A client is generated from each description; testdata/clients_test.go uses all three
// as a user's program would.
func (p platform) goClients(t *testing.T) {
	dir := t.TempDir()
	copyTo(t, dir, "go.sum", "testdata/clients_test.go")
	mod := strings.Replace(read(t, "go.mod"), "module shopstream/services/dev/contract", "module clients", 1)
	write(t, filepath.Join(dir, "go.mod"), mod)
	for _, service := range described {
		pkg := strings.ReplaceAll(service, "-", "")
		if err := os.Mkdir(filepath.Join(dir, pkg), 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, ".", nil, "go", "tool", "oapi-codegen", "-generate", "types,client", "-package", pkg,
			"-o", filepath.Join(dir, pkg, "client.go"), specOf(service))
	}
	run(t, dir, append(p.environ(), "GOWORK=off"), "go", "test", "-count=1", "-v", "./...")
}

// The same in TypeScript, in testdata/clients.ts.
func (p platform) typeScriptClients(t *testing.T) {
	modules := filepath.Join(tools(t), "node_modules")
	dir := t.TempDir()
	copyTo(t, dir, "package.json", "testdata/clients.ts")
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	for _, service := range described {
		run(t, ".", nil, filepath.Join(modules, ".bin/openapi-typescript"), specOf(service), "--output", filepath.Join(dir, service+".ts"))
	}
	run(t, dir, nil, filepath.Join(modules, ".bin/tsc"), "--strict", "--target", "es2022", "--module", "nodenext", "clients.ts")
	run(t, dir, p.environ(), "node", "clients.js")
}

// spectral lints the descriptions; .spectral.yaml has the rules.
func spectral(t *testing.T) {
	lint := filepath.Join(tools(t), "node_modules/.bin/spectral")
	for _, service := range described {
		run(t, ".", nil, lint, "lint", "--fail-severity=hint", specOf(service))
	}
}

// schemathesis sends requests that a description allows, and others, and compares each
// response with it; schemathesis.toml has the limits.
func (p platform) schemathesis(t *testing.T) {
	command := filepath.Join(tools(t), "bin/schemathesis")
	dir := t.TempDir() // it writes its findings to the working directory
	copyTo(t, dir, "schemathesis.toml")
	for _, url := range []string{p.webServer, p.managementAPI, p.api} {
		run(t, dir, nil, command, "run", "--no-color", url+"/openapi.yaml")
	}
}

// tools returns the folder with the tools from PyPI and npm.
func tools(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("CONTRACT_TOOLS")
	if dir == "" {
		t.Skip("`make test-contract` installs and runs it")
	}
	return dir
}

func copyTo(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		write(t, filepath.Join(dir, filepath.Base(name)), read(t, name))
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
