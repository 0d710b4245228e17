package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"golang.org/x/term"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/manifest"
	program "shopstream/infra/internal/platform"
)

func (p *platform) up(ctx context.Context) error {
	if err := p.checkTools(ctx); err != nil {
		return err
	}
	b, err := p.findBackend()
	if err != nil {
		return err
	}
	if err := p.checkConsent(); err != nil {
		return err
	}
	if err := p.startCluster(ctx); err != nil {
		return err
	}
	if err := p.checkVersion(ctx); err != nil {
		return err
	}
	p.checkNetwork(ctx)
	stack, err := p.open(ctx, b)
	if err != nil {
		return err
	}
	if err := p.unlock(ctx, stack, b); err != nil {
		return err
	}
	before, err := p.repair(ctx, stack)
	if err != nil {
		return err
	}
	p.step("Bringing up stack %s on %s (the first time, compiling the program and the images takes minutes)", p.stack, p.kube.context)
	missing, err := p.missingGatewayAPI(ctx)
	if err != nil {
		return err
	}
	// The Gateway API is no resource of the stack, so an up would refuse a harmful change only after it was installed.
	if p.asks() || missing != nil {
		if err := p.pulumi(ctx, stack, p.out, "preview"); err != nil {
			return fmt.Errorf("the preview fails, and nothing was changed: %w", err)
		}
	}
	if p.asks() {
		if err := p.ask(ctx, "Make these changes to stack "+p.stack+"?"); err != nil {
			return err
		}
	}
	if missing != nil {
		if err := p.installGatewayAPI(ctx, *missing); err != nil {
			return err
		}
	}
	if err := p.bringUp(ctx, stack); err != nil {
		return p.unfinished(ctx, stack, "up", before, err)
	}
	if err := p.removeReplaced(ctx, stack, before); err != nil {
		return err
	}
	return p.showSummary(ctx)
}

// removeReplaced removes what addons have left on the cluster that the stack had before and no longer has.
func (p *platform) removeReplaced(ctx context.Context, stack *auto.Stack, before apitype.DeploymentV3) error {
	after, err := exported(ctx, stack)
	if err != nil {
		return err
	}
	kept := releases(after)
	replaced := slices.DeleteFunc(releases(before), func(r release) bool { return slices.Contains(kept, r) })
	if err := p.removeLeftovers(ctx, replaced); err != nil {
		return err
	}
	if p.config.Ingress.API == config.GatewayAPI {
		return nil
	}
	return p.removeGatewayAPI(ctx)
}

func (p *platform) checkTools(ctx context.Context) error {
	tools := []string{"go", "pulumi", "kubectl"}
	if p.config.Images.Build {
		tools = append(tools, "docker")
		if len(p.config.Images.Load) > 0 && p.config.Images.Registry == "" {
			tools = append(tools, p.config.Images.Load[0])
		}
	}
	if p.kube.context == "minikube" && !p.kube.answers(ctx) && !slices.Contains(tools, "minikube") {
		tools = append(tools, "minikube")
	}
	if err := need(tools...); err != nil {
		return err
	}
	if !p.dockerAnswers(ctx) {
		return errors.New("no Docker daemon answers: start Docker (docker info says what is wrong). Without Docker there are make run and make preview")
	}
	return nil
}

// dockerAnswers reports whether images can be built, or need not be.
func (p *platform) dockerAnswers(ctx context.Context) bool {
	if !p.config.Images.Build {
		return true
	}
	_, err := output(ctx, "docker", "info")
	return err == nil
}

// asks reports whether the user must agree first: production is about to be changed.
func (p *platform) asks() bool { return p.isProduction() && !p.is("YES") }

func (p *platform) checkConsent() error {
	if p.asks() && !term.IsTerminal(int(os.Stdin.Fd())) {
		return fmt.Errorf("stack %s is production, and there is no terminal to ask on: set YES=1", p.stack)
	}
	return nil
}

// ask returns an error unless the answer is yes. Ctrl-C ends the question too, although reading an answer can't be stopped.
func (p *platform) ask(ctx context.Context, question string) error {
	fmt.Fprintf(p.out, "\n%s Type yes: ", question)
	answer, stdin := make(chan string, 1), bufio.NewReader(os.Stdin)
	go func() {
		line, _ := stdin.ReadString('\n')
		answer <- line
	}()
	select {
	case <-ctx.Done():
		return errors.New("nothing was changed, since it was interrupted")
	case line := <-answer:
		if strings.TrimSpace(line) != "yes" {
			return errors.New("nothing was changed, since the answer was not yes")
		}
		return nil
	}
}

// preview shows what up would change. It needs no cluster, no Docker and no secrets, and uses what there is.
func (p *platform) preview(ctx context.Context) error {
	if err := need("go", "pulumi"); err != nil {
		return err
	}
	b, err := p.findBackend()
	if b.stack == nil {
		return err
	}
	if err != nil {
		p.say("There is no state or no passphrase: the preview shows stack %s as if nothing of it existed.", p.stack)
		if b, err = emptyBackend(b); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(strings.TrimPrefix(b.url, "file://")) }()
	}
	if !p.kube.answers(ctx) {
		p.say("No cluster answers at the context %q: the preview compares with the state after the last up.", p.kube.context)
		b.project.Options.Refresh = ""
	} else if !p.dockerAnswers(ctx) {
		p.say("No Docker daemon answers: the preview compares with the state after the last up.")
		b.project.Options.Refresh = ""
	}
	stack, err := p.open(ctx, b)
	if err != nil {
		return err
	}
	arguments := []string{"preview"}
	if p.getenv("DIFF") != "" {
		arguments = append(arguments, "--diff")
	}
	if p.is("EXPECT_NO_CHANGES") {
		arguments = append(arguments, "--expect-no-changes")
	}
	if err := p.pulumi(ctx, stack, p.out, arguments...); err != nil {
		return fmt.Errorf("the preview fails, and nothing was changed: %w", err)
	}
	return nil
}

// render writes the manifests of a stack. It needs neither pulumi nor a cluster nor Docker.
func (p *platform) render(context.Context) error {
	out := p.getenv("OUT")
	if out == "" {
		// manifest.Render refuses a folder that holds something. The one under build/ may be emptied.
		out = filepath.Join("build", "manifests", p.stack)
		if err := os.RemoveAll(filepath.Join(p.root, out)); err != nil {
			return fmt.Errorf("emptying the folder of the manifests: %w", err)
		}
	}
	if !filepath.IsAbs(out) {
		out = filepath.Join(p.root, out)
	}
	written, err := manifest.Render(program.Program(program.ForManifests(), p.settings), manifest.Stack{
		Project: config.Project, Name: p.stack, Preview: true, Root: p.root,
	}, out)
	if err != nil {
		return err
	}
	p.say("wrote %d manifests of stack %q to %s", written, p.stack, out)
	return nil
}
