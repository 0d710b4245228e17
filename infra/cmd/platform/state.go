package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// stateFolder holds what make writes for pulumi; nothing in it is committed.
const stateFolder = ".pulumi-state"

// localPassphrase encrypts the state of the stacks for one machine, which need no account. It is no secret: what it
// protects is as public as a password on a laptop's test database.
const localPassphrase = "shopstream"

// backend says where the state is and what encrypts it.
type backend struct {
	url        string
	passphrase *string // nil: the user's own, or none is needed
}

// findBackend takes the user's settings; those that are missing have a default, except in production.
func (p *platform) findBackend(settings *workspace.ProjectStack) (backend, error) {
	b := backend{url: p.getenv("PULUMI_BACKEND_URL")}
	needs := needsPassphrase(b.url, settings) && p.getenv("PULUMI_CONFIG_PASSPHRASE") == "" && p.getenv("PULUMI_CONFIG_PASSPHRASE_FILE") == ""
	if p.isProduction() {
		if b.url == "" {
			return b, errors.New("PULUMI_BACKEND_URL is not set. The state of a production stack belongs where the whole team finds it: s3://bucket, gs://bucket, azblob://container, or https://api.pulumi.com")
		}
		if needs {
			return b, errors.New("PULUMI_CONFIG_PASSPHRASE is not set. It encrypts the secrets of a production stack, so there is no default")
		}
		return b, nil
	}
	if b.url == "" {
		b.url = "file://" + filepath.ToSlash(filepath.Join(p.root, stateFolder))
	}
	if needs {
		b.passphrase = new(localPassphrase)
	}
	return b, nil
}

// needsPassphrase is false where Pulumi Cloud or a key service keeps the secrets.
func needsPassphrase(url string, settings *workspace.ProjectStack) bool {
	return !strings.HasPrefix(url, "https://") && !strings.Contains(settings.SecretsProvider, "://")
}

func (b backend) environment() map[string]string {
	env := map[string]string{
		"PULUMI_BACKEND_URL":       b.url,
		"PULUMI_SKIP_UPDATE_CHECK": "true",
		// The salt that belongs to the passphrase is read from the state, where the stack's file has none.
		"PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
	}
	if b.passphrase != nil {
		env["PULUMI_CONFIG_PASSPHRASE"] = *b.passphrase
		env["PULUMI_CONFIG_PASSPHRASE_FILE"] = ""
	}
	return env
}

// settings reads the project and the stack's file as pulumi does.
func (p *platform) settings() (*workspace.Project, *workspace.ProjectStack, error) {
	project, err := workspace.LoadProject(filepath.Join(p.root, "Pulumi.yaml"))
	if err != nil {
		return nil, nil, fmt.Errorf("reading Pulumi.yaml: %w", err)
	}
	quiet := diag.DefaultSink(io.Discard, io.Discard, diag.FormatOptions{Color: colors.Never})
	settings, err := workspace.LoadProjectStack(quiet, project, p.stackFile())
	if err != nil {
		return nil, nil, fmt.Errorf("reading Pulumi.%s.yaml: %w", p.stack, err)
	}
	return project, settings, nil
}

// open returns the stack, made where there is none yet. Pulumi works on copies of Pulumi.yaml and of the stack's file:
// what it writes into them, such as the salt of a passphrase, changes no file of the repository.
func (p *platform) open(ctx context.Context, project *workspace.Project, settings *workspace.ProjectStack, b backend) (*auto.Stack, error) {
	if path, ok := strings.CutPrefix(b.url, "file://"); ok && filepath.IsAbs(path) {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, fmt.Errorf("making the folder of the state: %w", err)
		}
	}
	if b.passphrase != nil && !settings.Config.HasSecureValue() {
		settings.EncryptionSalt = "" // of somebody's own passphrase, which encrypts nothing here
	}
	folder := filepath.Join(p.root, p.projectFolder())
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the project: %w", err)
	}
	project.Main = filepath.Join(p.root, project.Main)
	if err := errors.Join(
		project.Save(filepath.Join(folder, "Pulumi.yaml")),
		settings.Save(filepath.Join(folder, "Pulumi."+p.stack+".yaml")),
	); err != nil {
		return nil, fmt.Errorf("copying the project: %w", err)
	}
	command, err := auto.NewPulumiCommand(nil)
	if err != nil {
		return nil, err
	}
	wrapped := cli{PulumiCommand: command}
	if p.keepsVolumes() {
		wrapped.destroyFlags = []string{"--exclude-protected"}
	}
	ws, err := auto.NewLocalWorkspace(ctx, auto.WorkDir(folder), auto.EnvVars(b.environment()), auto.Pulumi(wrapped))
	if err != nil {
		return nil, fmt.Errorf("opening the project: %w", err)
	}
	stack, err := auto.UpsertStack(ctx, p.stack, ws)
	if err != nil {
		if strings.Contains(err.Error(), "incorrect passphrase") {
			return nil, fmt.Errorf("the passphrase is not the one that stack %s was made with, or that encrypts the secrets in Pulumi.%s.yaml: set PULUMI_CONFIG_PASSPHRASE to that one, or unset it if you have never set one", p.stack, p.stack)
		}
		return nil, errors.New(cause(err))
	}
	return &stack, nil
}

// cli adds to the Automation API the flags of destroy that it has no options for.
type cli struct {
	auto.PulumiCommand
	destroyFlags []string
}

// Run implements auto.PulumiCommand.
func (c cli) Run(
	ctx context.Context, folder string, stdin io.Reader, stdout, stderr []io.Writer, env []string, arguments ...string,
) (string, string, int, error) {
	if arguments[0] == "destroy" {
		arguments = slices.Concat(arguments, c.destroyFlags)
	}
	return c.PulumiCommand.Run(ctx, folder, stdin, stdout, stderr, env, arguments...)
}

// projectFolder is where pulumi is run, relative to the root.
func (p *platform) projectFolder() string { return filepath.Join(stateFolder, "project", p.stack) }

// byHand is how to call pulumi on what make has made.
func (p *platform) byHand(command string) string {
	return fmt.Sprintf(`eval "$(STACK=%s bin/platform env)"; pulumi -C %s %s --stack %s`, p.stack, p.projectFolder(), command, p.stack)
}

// env prints the variables for calling pulumi by hand.
func (p *platform) env(context.Context) error {
	_, settings, err := p.settings()
	if err != nil {
		return err
	}
	b, err := p.findBackend(settings)
	if err != nil {
		return err
	}
	p.say("export PULUMI_BACKEND_URL='%s'", b.url)
	if b.passphrase != nil {
		p.say("export PULUMI_CONFIG_PASSPHRASE='%s'", *b.passphrase)
	}
	return nil
}

// stacks names the stacks that there are files of.
func (p *platform) stacks() string {
	files, _ := filepath.Glob(filepath.Join(p.root, "Pulumi.*.yaml"))
	var names []string
	for _, file := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "Pulumi."), ".yaml"))
	}
	return strings.Join(names, " ")
}

// withoutSecrets is for a preview by somebody who has neither the state nor the passphrase: a state of its own, and the
// stack without what is encrypted in it.
func (p *platform) withoutSecrets(settings *workspace.ProjectStack) (backend, error) {
	for key, value := range settings.Config {
		if value.Secure() {
			delete(settings.Config, key)
		}
	}
	settings.EncryptionSalt, settings.EncryptedKey, settings.SecretsProvider = "", "", ""
	folder, err := os.MkdirTemp("", "shopstream-preview-")
	if err != nil {
		return backend{}, fmt.Errorf("making a state for this preview: %w", err)
	}
	return backend{url: "file://" + filepath.ToSlash(folder), passphrase: new(localPassphrase)}, nil
}
