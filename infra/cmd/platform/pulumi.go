package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"

	program "shopstream/infra/internal/platform"
)

// stateFolder holds what make writes for pulumi; nothing in it is committed.
const stateFolder = ".pulumi-state"

// localPassphrase encrypts the state of stacks that are tried on one machine and need no account. It is not a secret:
// it protects nothing more than the passwords of a test database.
const localPassphrase = "shopstream"

// backend is where pulumi keeps the state, and the project and the stack's file that it reads.
type backend struct {
	url        string
	passphrase string // that this program sets; empty where the user's own is used, or none is needed
	project    *workspace.Project
	stack      *workspace.ProjectStack
}

// findBackend uses the user's settings. A missing one has a default, except in production.
func (p *platform) findBackend() (backend, error) {
	project, err := workspace.LoadProject(filepath.Join(p.root, "Pulumi.yaml"))
	if err != nil {
		return backend{}, fmt.Errorf("reading Pulumi.yaml: %w", err)
	}
	quiet := diag.DefaultSink(io.Discard, io.Discard, diag.FormatOptions{Color: colors.Never})
	stack, err := workspace.LoadProjectStack(quiet, project, p.stackFile())
	if err != nil {
		return backend{}, fmt.Errorf("reading Pulumi.%s.yaml: %w", p.stack, err)
	}
	b := backend{url: p.getenv("PULUMI_BACKEND_URL"), project: project, stack: stack}
	// Pulumi Cloud and key services need no passphrase.
	needsPassphrase := !strings.HasPrefix(b.url, "https://") && !strings.Contains(stack.SecretsProvider, "://") &&
		p.getenv("PULUMI_CONFIG_PASSPHRASE") == "" && p.getenv("PULUMI_CONFIG_PASSPHRASE_FILE") == ""
	switch {
	case p.isProduction() && b.url == "":
		return b, errors.New("PULUMI_BACKEND_URL is not set. Keep the state of a production stack where the whole team finds it: s3://bucket, gs://bucket, azblob://container, or https://api.pulumi.com")
	case p.isProduction() && needsPassphrase:
		return b, errors.New("PULUMI_CONFIG_PASSPHRASE is not set. It encrypts the secrets of a production stack, so there is no default")
	case b.url == "":
		b.url = "file://" + filepath.ToSlash(filepath.Join(p.root, stateFolder))
	}
	if needsPassphrase {
		b.passphrase = localPassphrase
		if !stack.Config.HasSecureValue() {
			stack.EncryptionSalt = "" // of another passphrase, which encrypts nothing here
		}
	}
	return b, nil
}

// emptyBackend is for a preview without the state or the passphrase: an empty state in a temporary folder, and the stack
// without its encrypted values.
func emptyBackend(b backend) (backend, error) {
	for key, value := range b.stack.Config {
		if value.Secure() {
			delete(b.stack.Config, key)
		}
	}
	b.stack.EncryptionSalt, b.stack.EncryptedKey, b.stack.SecretsProvider = "", "", ""
	folder, err := os.MkdirTemp("", "shopstream-preview-")
	if err != nil {
		return b, fmt.Errorf("creating a state for this preview: %w", err)
	}
	b.url, b.passphrase = "file://"+filepath.ToSlash(folder), localPassphrase
	return b, nil
}

// create makes the folder of a state on this machine: pulumi refuses one that doesn't exist.
func (b backend) create() error {
	path, ok := strings.CutPrefix(b.url, "file://")
	if !ok || !filepath.IsAbs(path) {
		return nil
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("creating the folder of the state: %w", err)
	}
	return nil
}

// open returns the stack, created if it doesn't exist. Pulumi works on copies of Pulumi.yaml and of the stack's file, so
// what it writes into them, such as the salt of a passphrase, changes no file of the repository.
func (p *platform) open(ctx context.Context, b backend) (*auto.Stack, error) {
	folder := filepath.Join(p.root, p.projectFolder())
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("creating the folder of the project: %w", err)
	}
	if err := b.create(); err != nil {
		return nil, err
	}
	env := map[string]string{
		"PULUMI_BACKEND_URL":       b.url,
		"PULUMI_SKIP_UPDATE_CHECK": "true",
		// If the stack's file has no salt, the one in the state is used.
		"PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
	}
	if b.passphrase != "" {
		env["PULUMI_CONFIG_PASSPHRASE"], env["PULUMI_CONFIG_PASSPHRASE_FILE"] = b.passphrase, ""
	}
	b.project.Main = filepath.Join(p.root, b.project.Main)
	stack, err := auto.UpsertStackLocalSource(ctx, p.stack, folder, auto.Project(*b.project),
		auto.Stacks(map[string]workspace.ProjectStack{p.stack: *b.stack}), auto.EnvVars(env))
	switch {
	case err == nil:
		return &stack, nil
	case strings.Contains(err.Error(), "incorrect passphrase"):
		return nil, fmt.Errorf("the passphrase is not the one that stack %s was created with, or that encrypts the secrets in Pulumi.%s.yaml: set PULUMI_CONFIG_PASSPHRASE to that one, or unset it if you have never set one", p.stack, p.stack)
	}
	return nil, errors.New(cause(err))
}

// projectFolder is where pulumi is run, relative to the root.
func (p *platform) projectFolder() string { return filepath.Join(stateFolder, "project", p.stack) }

// byHand is how to run a pulumi command on the same state.
func (p *platform) byHand(command string) string {
	return fmt.Sprintf(`eval "$(STACK=%s bin/platform env)"; pulumi -C %s %s --stack %s`, p.stack, p.projectFolder(), command, p.stack)
}

// env prints the variables for calling pulumi by hand.
func (p *platform) env(context.Context) error {
	b, err := p.findBackend()
	if err != nil {
		return err
	}
	if err := b.create(); err != nil {
		return err
	}
	p.say("export PULUMI_BACKEND_URL='%s'", b.url)
	if b.passphrase != "" {
		p.say("export PULUMI_CONFIG_PASSPHRASE='%s'", b.passphrase)
	}
	return nil
}

// pulumi runs a command that the Automation API lacks, or of which it lacks a flag.
func (p *platform) pulumi(ctx context.Context, stack *auto.Stack, stdout io.Writer, arguments ...string) error {
	ws := stack.Workspace()
	var env []string
	for name, value := range ws.GetEnvVars() {
		env = append(env, name+"="+value)
	}
	arguments = slices.Concat(arguments, []string{"--stack", p.stack, "--color", p.color()})
	_, stderr, _, err := ws.PulumiCommand().Run(ctx, ws.WorkDir(), nil, []io.Writer{stdout}, nil, env, arguments...)
	if err != nil {
		return fmt.Errorf("pulumi %s: %w: %s", arguments[0], err, strings.TrimSpace(stderr))
	}
	return nil
}

func (p *platform) color() string {
	if p.isTerminal() {
		return "always"
	}
	return "never"
}

// exported returns the state of the stack.
func exported(ctx context.Context, stack *auto.Stack) (apitype.DeploymentV3, error) {
	var deployment apitype.DeploymentV3
	export, err := stack.Export(ctx)
	if err == nil && len(export.Deployment) > 0 {
		err = json.Unmarshal(export.Deployment, &deployment)
	}
	if err != nil {
		return deployment, fmt.Errorf("reading the state of the stack: %s", cause(err))
	}
	return deployment, nil
}

// unfinished is the error of up or down. It says whether anything was changed, and how to continue.
func (p *platform) unfinished(ctx context.Context, stack *auto.Stack, command string, before apitype.DeploymentV3, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s was interrupted. Run make %s again: it continues where it stopped", command, command)
	}
	for _, conflict := range []string{"currently locked by", "Another update is currently in progress"} {
		if strings.Contains(err.Error(), conflict) {
			return p.lockedBy("another process")
		}
	}
	if strings.Contains(err.Error(), program.Refused) {
		// Running it again doesn't help. The state may differ all the same: it is refreshed first.
		return fmt.Errorf("%s was refused, and the cluster is unchanged. The reasons are above, and what to do instead", command)
	}
	after, exportErr := exported(ctx, stack)
	if exportErr == nil && len(after.PendingOperations) == 0 && reflect.DeepEqual(before.Resources, after.Resources) {
		return fmt.Errorf("%s has changed nothing: %s", command, cause(err))
	}
	return fmt.Errorf("%s has not finished: %s. Run make %s again: it continues where it stopped. make status shows what is running", command, cause(err), command)
}

// cause shortens an error of the Automation API, which holds everything that pulumi has printed, to what pulumi calls the
// error.
func cause(err error) string {
	text, rest, _ := strings.Cut(err.Error(), "\ncode: ")
	if _, stderr, _ := strings.Cut(rest, "\nstderr: "); strings.TrimSpace(stderr) != "" {
		text = strings.TrimSpace(stderr)
	}
	return text
}
