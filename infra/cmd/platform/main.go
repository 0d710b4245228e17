// Command platform implements the make targets that deploy: it prepares the cluster and the state, runs pulumi through
// its Automation API, repairs what an interrupted run has left, and shows what is running.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/load"
	"shopstream/infra/internal/plan"
)

const usage = `[STACK=…] platform COMMAND, where STACK is dev (default), small, prod or one of your own:
  preview   show what up would change       DIFF=1 in detail, EXPECT_NO_CHANGES=1 fails if there is any change
  render    write plain manifests           OUT=folder
  up        create or update the stack      YES=1 doesn't ask before changing production
  down      destroy the stack               YES=1 likewise; KEEP_VOLUMES=false deletes the volumes too
  e2e       smoke-test the running stack
  status    pods, autoscalers, lag, backups --json, or JSON=1
  backup    dump the purchases now
  restore   list the dumps, or insert what is missing from one       BACKUP=name, INTO=database
  load      run a load test                 RATE=200 or PHASES=steady=200x90s,quiet=0x30s; OUT=build/load.html
  plan      what a load needs               RATE=1000 SIZE=300 RETENTION=168h KEPT=8760h CATCH_UP=30s DRAIN=5000 FAILS=zone, JSON=1
  logs      the services' logs              SERVICE=api, SINCE=10m, TAIL=20, FOLLOW=0
  env       the variables for calling pulumi yourself on the same state
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := os.Getwd()
	if err == nil {
		p := &platform{root: root, getenv: os.Getenv, out: os.Stdout, deletionTimeout: 2 * time.Minute}
		err = p.run(ctx, os.Args[1:])
	}
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "ERROR:", err)
		os.Exit(load.ExitStatus(err))
	}
}

var errUsage = errors.New("unknown command or argument")

// platform is one stack, and the options that the user gave.
type platform struct {
	root     string // of the repository
	stack    string
	settings map[string]string // of the stack's file, without those that are encrypted
	config   config.Config
	kube     kubectl
	getenv   func(string) string
	json     bool
	out      io.Writer

	deletionTimeout time.Duration // how long down waits until the cluster has deleted everything
}

func (p *platform) run(ctx context.Context, arguments []string) error {
	if len(arguments) == 0 {
		fmt.Fprint(p.out, usage)
		return nil
	}
	command, ok := map[string]func(context.Context) error{
		"preview": p.preview, "render": p.render, "up": p.up, "down": p.down,
		"e2e": p.e2e, "status": p.status, "backup": p.backup, "restore": p.restore, "load": p.loadTest, "logs": p.logs, "env": p.env,
		"plan": func(context.Context) error { return p.plan() }, // before a stack is read
	}[arguments[0]]
	if !ok {
		return errUsage
	}
	flags := flag.NewFlagSet(arguments[0], flag.ContinueOnError)
	flags.BoolVar(&p.json, "json", p.is("JSON"), "write JSON")
	if err := flags.Parse(arguments[1:]); err != nil || flags.NArg() > 0 {
		return errUsage // STACK=prod after the command would be no variable, and dev would be changed
	}
	if arguments[0] == "plan" {
		return command(ctx)
	}
	if err := p.load(ctx, arguments[0] == "up" || arguments[0] == "preview"); err != nil {
		return err
	}
	return command(ctx)
}

// load finds the stack and reads its configuration. Before a run of the program it also checks what follows from the
// configuration, so that every fault of the stack's file is reported at once, before anything is compiled or started.
// Encrypted values are left to the program.
func (p *platform) load(ctx context.Context, check bool) error {
	p.stack = p.getenv("STACK")
	if p.stack == "" {
		p.stack = "dev"
	}
	if _, err := os.Stat(p.stackFile()); err != nil {
		return fmt.Errorf("there is no stack %q: Pulumi.%s.yaml does not exist. Set STACK to one of: %s", p.stack, p.stack, p.stacks())
	}
	var err error
	if p.settings, err = config.ReadStackFile(p.stackFile()); err != nil {
		return err
	}
	c, secrets, err := config.Load(p.settings)
	if check {
		err = errors.Join(err, plan.Check(c, secrets, true))
	}
	if err != nil {
		return fmt.Errorf("checking Pulumi.%s.yaml; nothing was changed:\n%w", p.stack, err)
	}
	p.config = c
	p.kube, err = findCluster(ctx, c.Cluster.Context)
	return err
}

func (p *platform) stackFile() string { return filepath.Join(p.root, "Pulumi."+p.stack+".yaml") }

// stacks lists the names of the stacks in the repository.
func (p *platform) stacks() string {
	files, _ := filepath.Glob(filepath.Join(p.root, "Pulumi.*.yaml"))
	for i, file := range files {
		files[i] = strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "Pulumi."), ".yaml")
	}
	return strings.Join(files, " ")
}

// is reports whether a variable is set to 1.
func (p *platform) is(variable string) bool { return p.getenv(variable) == "1" }

func (p *platform) isProduction() bool { return p.config.Profile == config.Production }

func (p *platform) say(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

// step prints a heading.
func (p *platform) step(format string, args ...any) {
	if p.isTerminal() {
		format = "\x1b[1m" + format + "\x1b[0m"
	}
	p.say("\n"+format, args...)
}

func (p *platform) warn(format string, args ...any) { p.say("WARNING: "+format, args...) }

func (p *platform) isTerminal() bool {
	file, ok := p.out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
