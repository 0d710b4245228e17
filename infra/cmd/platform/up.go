package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"golang.org/x/term"

	"shopstream/infra/internal/config"
)

// Namespaces of the services and of the data.
const (
	shop     = "shop"
	shopData = "shop-data"
)

func (p *platform) up(ctx context.Context) error {
	if err := p.check(); err != nil {
		return err
	}
	if err := p.checkTools(ctx); err != nil {
		return err
	}
	project, settings, err := p.settings()
	if err != nil {
		return err
	}
	b, err := p.findBackend(settings)
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
	stack, err := p.open(ctx, project, settings, b)
	if err != nil {
		return err
	}
	if err := p.unlock(ctx, stack, b); err != nil {
		return err
	}
	if err := p.repair(ctx, stack); err != nil {
		return err
	}
	p.step("Bringing up stack %s on %s (the first time, compiling the program and the images takes minutes)", p.stack, p.kube.context)
	if p.asks() {
		if _, err := stack.Preview(ctx, optpreview.ProgressStreams(p.out), optpreview.ErrorProgressStreams(os.Stderr)); err != nil {
			return fmt.Errorf("the changes can't be shown, and nothing was changed: %s", cause(err))
		}
		if err := p.ask("Make these changes to stack " + p.stack + "?"); err != nil {
			return err
		}
	}
	started, err := p.follow(func(stream chan<- events.EngineEvent) error {
		_, err := stack.Up(ctx, optup.EventStreams(stream), optup.SuppressProgress())
		return err
	})
	if err != nil {
		return p.unfinished(ctx, "up", started, err)
	}
	return p.where(ctx)
}

// check finds the faults that need no program to be compiled, before anything is started. What is encrypted is not
// judged here.
func (p *platform) check() error {
	if err := config.Check(p.config, p.secrets, true); err != nil {
		return fmt.Errorf("checking Pulumi.%s.yaml:\n%w", p.stack, err)
	}
	return nil
}

// follow runs one of pulumi's operations and shows its progress. It says whether anything was changed.
func (p *platform) follow(operation func(chan<- events.EngineEvent) error) (started bool, err error) {
	shown := progress{out: p.out, terminal: p.isTerminal()}
	stream, stop := make(chan events.EngineEvent), make(chan struct{})
	var following sync.WaitGroup
	following.Go(func() { shown.follow(stream, stop) })
	err = operation(stream)
	close(stop)
	following.Wait()
	return shown.changed+len(shown.working) > 0, err
}

// unfinished is the error of an operation, with the advice to go on only where there is something to go on from.
func (p *platform) unfinished(ctx context.Context, command string, started bool, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s was interrupted. Run make %s again, it goes on from where it stopped", command, command)
	case auto.IsConcurrentUpdateError(err):
		return fmt.Errorf("another run is at work on stack %s. Wait for it; if it is no longer there, run: %s", p.stack, p.byHand("cancel"))
	case started:
		return fmt.Errorf("%s has not finished. Run make %s again, it goes on from where it stopped; make status shows what is there", command, command)
	}
	return fmt.Errorf("%s has changed nothing: %s", command, cause(err))
}

// cause shortens an error of the Automation API, which holds everything that pulumi has printed, to what it calls the
// error.
func cause(err error) string {
	text, rest, _ := strings.Cut(err.Error(), "\ncode: ")
	if _, stderr, _ := strings.Cut(rest, "\nstderr: "); strings.TrimSpace(stderr) != "" {
		text = strings.TrimSpace(stderr)
	}
	return text
}

// builds says whether the images are built here.
func (p *platform) builds() bool { return p.config.Images.Build }

func (p *platform) daemonAnswers(ctx context.Context) bool {
	if !p.builds() {
		return true
	}
	_, err := output(ctx, "docker", "info")
	return err == nil
}

func (p *platform) checkTools(ctx context.Context) error {
	tools := []string{"go", "pulumi", "kubectl"}
	if p.builds() {
		tools = append(tools, "docker")
		if len(p.config.Images.Load) > 0 && p.config.Images.Registry == "" {
			tools = append(tools, p.config.Images.Load[0])
		}
	}
	if p.kube.context == "minikube" && !p.kube.answers(ctx) {
		tools = append(tools, "minikube")
	}
	if err := need(unique(tools)...); err != nil {
		return err
	}
	if !p.daemonAnswers(ctx) {
		return errors.New("no Docker daemon answers: start Docker (docker info says what is wrong); without Docker there are make run and make preview")
	}
	return nil
}

// asks says whether production is about to be touched with somebody there to be asked.
func (p *platform) asks() bool { return p.isProduction() && !p.is("YES") }

func (p *platform) checkConsent() error {
	if p.asks() && !term.IsTerminal(int(os.Stdin.Fd())) {
		return fmt.Errorf("stack %s is production, and nobody is there to ask: set YES=1", p.stack)
	}
	return nil
}

func (p *platform) ask(question string) error {
	fmt.Fprintf(p.out, "\n%s Type yes: ", question)
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != "yes" {
		return errors.New("nothing was changed, since the answer was not yes")
	}
	return nil
}

// where shows what runs and says how to reach it.
func (p *platform) where(ctx context.Context) error {
	pods, err := p.pods(ctx)
	if err != nil {
		return err
	}
	p.step("shopstream is up on %s", p.kube.context)
	p.printPods(pods)
	way, err := p.wayIn(ctx)
	if err != nil {
		return err
	}
	url := way.url
	if url == "" && way.service != "" {
		url = "http://localhost:8080"
		p.say("\nOpen the way in, and leave it open:\n  kubectl --context %s -n %s port-forward service/%s 8080:80", p.kube.context, way.namespace, way.service)
	}
	if url != "" {
		p.say("\n  shop           %s/\n  topic viewer   %s/viewer\n  messages       %s/messages?topic=orders&limit=10", url, url, url)
	}
	monitoring := p.config.Addons.MonitoringNamespace
	if _, err := p.kube.run(ctx, "-n", monitoring, "get", "service", "prometheus-server"); err == nil {
		p.say("  Prometheus     kubectl --context %s -n %s port-forward service/prometheus-server 9090:80", p.kube.context, monitoring)
	}
	p.say(`
  make status    pods, scalers and lag          make e2e     buy something, and see it arrive
  make logs      what the services say          make down    take it all away again`)
	return nil
}

// entrance is the way in from outside: the service of the ingress controller, where the stack installs one, and its
// address, where it can be told.
type entrance struct {
	namespace, service, url string
	host                    string // that the routes answer to; empty means every name
	tls                     bool
}

func (p *platform) wayIn(ctx context.Context) (entrance, error) {
	e := entrance{namespace: p.config.Ingress.Namespace, host: p.config.Ingress.Host, tls: p.config.Ingress.TLSSecret != ""}
	rows, err := p.kube.rows(ctx, []string{".metadata.name", ".spec.type", ".status.loadBalancer.ingress[0].ip", ".status.loadBalancer.ingress[0].hostname", `.spec.ports[?(@.name=="http")].nodePort`},
		"-n", e.namespace, "service", "-l", "app.kubernetes.io/name=ingress-nginx,app.kubernetes.io/component=controller")
	if err != nil {
		return e, err
	}
	for _, row := range rows {
		if strings.HasSuffix(row[0], "admission") {
			continue
		}
		e.service = row[0]
		scheme := "http://"
		if e.tls {
			scheme = "https://"
		}
		address := cmp.Or(absent(row[2]), absent(row[3]))
		switch {
		case e.host != "":
			e.url = scheme + e.host
		case row[1] == "LoadBalancer" && address != "":
			e.url = scheme + address
		case row[1] == "NodePort":
			node, _ := p.kube.run(ctx, "get", "nodes", "-o", `jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}`)
			url := fmt.Sprintf("http://%s:%s", strings.TrimSpace(node), row[4])
			// From macOS and Windows the node is inside a virtual machine, and can't be reached like this.
			if reachable(ctx, url+"/health") {
				e.url = url
			}
		}
		break
	}
	if e.service == "" && e.host != "" {
		e.url = "http://" + e.host
		if e.tls {
			e.url = "https://" + e.host
		}
	}
	return e, nil
}

// absent turns kubectl's word for nothing into nothing.
func absent(text string) string {
	if text == "<none>" {
		return ""
	}
	return text
}

func reachable(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	answer, err := direct().Do(request)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// preview shows what an up would change, with as much as is at hand: no cluster, no Docker and no secrets are needed.
func (p *platform) preview(ctx context.Context) error {
	if err := p.check(); err != nil {
		return err
	}
	if err := need("go", "pulumi"); err != nil {
		return err
	}
	project, settings, err := p.settings()
	if err != nil {
		return err
	}
	b, err := p.findBackend(settings)
	if err != nil {
		p.say("No state or no passphrase is at hand: showing stack %s as if nothing of it existed yet.", p.stack)
		if b, err = p.withoutSecrets(settings); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(strings.TrimPrefix(b.url, "file://")) }()
	}
	if !p.kube.answers(ctx) {
		p.say("No cluster answers at the context %q: comparing with what the last up has written down.", p.kube.context)
		project.Options.Refresh = ""
	} else if !p.daemonAnswers(ctx) {
		p.say("No Docker daemon answers: comparing with what the last up has written down.")
		project.Options.Refresh = ""
	}
	stack, err := p.open(ctx, project, settings, b)
	if err != nil {
		return err
	}
	options := []optpreview.Option{optpreview.ProgressStreams(p.out), optpreview.ErrorProgressStreams(os.Stderr)}
	if p.getenv("DIFF") != "" {
		options = append(options, optpreview.Diff())
	}
	if p.is("EXPECT_NO_CHANGES") {
		options = append(options, optpreview.ExpectNoChanges())
	}
	if p.isTerminal() {
		options = append(options, optpreview.Color("always"))
	}
	if _, err := stack.Preview(ctx, options...); err != nil {
		return fmt.Errorf("the preview ends with an error, and nothing was changed: %s", cause(err))
	}
	return nil
}

func (p *platform) render(ctx context.Context) error {
	out := p.getenv("OUT")
	if out == "" {
		// The program writes into no folder that holds something. The one under build/ is ours to empty.
		out = p.path("build", "manifests", p.stack)
		if err := os.RemoveAll(out); err != nil {
			return fmt.Errorf("emptying the folder of the manifests: %w", err)
		}
	}
	if err := need("go"); err != nil {
		return err
	}
	command := exec.CommandContext(ctx, "go", "run", "-C", p.path("infra"), "-trimpath", ".", "render",
		"-stack", p.stack, "-root", p.root, "-out", p.absolute(out))
	command.Stdout, command.Stderr = p.out, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("rendering stack %s: %w", p.stack, err)
	}
	return nil
}
