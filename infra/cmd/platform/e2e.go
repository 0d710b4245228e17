package main

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/template"
	"time"

	"shopstream/infra/internal/endpoint"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/mongo"
	"shopstream/infra/internal/plan"
)

// smokeTest is one run of the smoke test: it makes a purchase from outside and looks it up, checks that orders are counted,
// and tries connections that the network policies must allow or refuse. Every wait has a time limit, and its pods are deleted.
type smokeTest struct {
	*platform
	name      string // of this run; its pods and its buyer are named after it
	shop, api endpoint.Client
	event     string
	failed    int
	stops     []func() // close the port-forwards
}

func (p *platform) e2e(ctx context.Context) error {
	if err := p.needCluster(ctx); err != nil {
		return err
	}
	t := &smokeTest{platform: p, name: fmt.Sprintf("e2e-%d-%d", time.Now().Unix(), os.Getpid())}
	p.step("Smoke test of stack %s on %s", p.stack, p.kube.context)
	if _, err := p.kube.run(ctx, "-n", plan.AppNamespace, "get", "deployment", plan.WebServer); err != nil {
		return fmt.Errorf("the platform is not up on %q: run make up", p.kube.context)
	}
	defer t.cleanUp(ctx)
	for _, s := range plan.Services(p.config) {
		_, err := t.kube.run(ctx, "-n", plan.AppNamespace, "rollout", "status", "deployment/"+s.Name, "--timeout=180s")
		t.report(s.Name+" is rolled out", err)
	}
	if err := t.enter(ctx); err != nil {
		return err
	}
	if t.check(ctx, time.Minute, "a purchase is answered with 202", t.buy) {
		t.say("         its event id is %s", t.event)
		t.check(ctx, time.Minute, "it is stored, and its buyer finds it", t.finds(t.shop, "/api/v1/getAllUserBuys/"+t.name, &t.event))
		// If others buy more than a thousand times in the meantime, it is not among the last thousand.
		t.check(ctx, 30*time.Second, "/messages shows it", t.finds(t.api, "/messages?topic=purchases&limit=1000", &t.event))
	}
	value := `"value"`
	t.check(ctx, 90*time.Second, "the demo orders are counted", t.finds(t.api, "/messages?topic=product-totals&limit=1", &value))
	t.check(ctx, 2*time.Minute, "KEDA has every ScaledObject ready", t.scalersReady)
	t.say("Network policies (this takes up to a minute, since a refused connection ends only by its timeout)")
	t.checkPolicies(ctx)
	if t.failed > 0 {
		return fmt.Errorf("%d checks failed: see make status and make logs", t.failed)
	}
	p.step("Everything works.")
	return nil
}

func (t *smokeTest) cleanUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	_, _ = t.kube.run(ctx, "delete", "pods", "-A", "-l", "shopstream/e2e="+t.name, "--now", "--wait=false")
	for _, stop := range t.stops {
		stop()
	}
}

func (t *smokeTest) report(what string, err error) {
	if err != nil {
		t.failed++
		t.say("  FAILED %s: %v", what, err)
		return
	}
	t.say("  ok     %s", what)
}

// check retries until there is no error, or until the time limit, and reports the result.
func (t *smokeTest) check(ctx context.Context, limit time.Duration, what string, try func(context.Context) error) bool {
	var err error
	if within(ctx, limit, func(ctx context.Context) bool {
		err = try(ctx)
		return err == nil
	}) {
		t.report(what, nil)
		return true
	}
	t.report(fmt.Sprintf("%s within %s", what, limit), err)
	return false
}

// enter connects to the services as their clients do, through the ingress controller; or directly, if the stack installs
// none.
func (t *smokeTest) enter(ctx context.Context) error {
	open := func(namespace, service string, port int, url string) (endpoint.Client, error) {
		address, stop, err := t.kube.forward(ctx, namespace, service, port)
		if err != nil {
			return endpoint.Client{}, err
		}
		t.stops = append(t.stops, stop)
		return t.client(ctx, address, url), nil
	}
	e, err := t.ingress(ctx)
	if err != nil {
		return err
	}
	if e.service != "" {
		port := 80
		if e.scheme == "https" {
			port = 443
		}
		t.say("Through the ingress (%s/%s)", e.namespace, e.service)
		t.shop, err = open(e.namespace, e.service, port, e.scheme+"://"+cmp.Or(t.config.Ingress.Host, "localhost"))
		t.api = t.shop
		return err
	}
	t.say("Through port-forwards to web-server and api, since the stack installs no ingress controller")
	if t.shop, err = open(plan.AppNamespace, plan.WebServer, t.portOf(plan.WebServer), "http://"+plan.WebServer); err != nil {
		return err
	}
	t.api, err = open(plan.AppNamespace, plan.API, t.portOf(plan.API), "http://"+plan.API)
	return err
}

func (t *smokeTest) buy(ctx context.Context) error {
	r, err := t.shop.Do(ctx, http.MethodPost, "/api/v1/buy", fmt.Sprintf(`{"username":"Smoke Test","userid":%q,"price":12.34}`, t.name))
	if err != nil {
		return err
	}
	var answer struct{ Data struct{ EventID string } }
	if err := json.Unmarshal(r.Body, &answer); r.Status != http.StatusAccepted || err != nil || answer.Data.EventID == "" {
		return fmt.Errorf("the answer is %d %s", r.Status, r.Body)
	}
	t.event = answer.Data.EventID
	return nil
}

// finds looks for a text in a response.
func (t *smokeTest) finds(c endpoint.Client, path string, text *string) func(context.Context) error {
	return func(ctx context.Context) error {
		r, err := c.Get(ctx, path)
		if err == nil && !strings.Contains(string(r.Body), *text) {
			err = fmt.Errorf("%s is not in the answer of %s", *text, path)
		}
		return err
	}
}

func (t *smokeTest) scalersReady(ctx context.Context) error {
	rows, err := t.kube.rows(ctx, []string{".metadata.name", `.status.conditions[?(@.type=="Ready")].status`}, "-n", plan.AppNamespace, "scaledobjects.keda.sh")
	if err == nil && len(rows) == 0 {
		err = errors.New("there is no ScaledObject")
	}
	for _, row := range rows {
		if row[1] != "True" {
			err = errors.Join(err, fmt.Errorf("%s is not ready", row[0]))
		}
	}
	return err
}

//go:embed probe.yaml
var probeManifest string

// checkPolicies opens connections from pods that have an edge in the call graph, and from pods that have none.
func (t *smokeTest) checkPolicies(ctx context.Context) {
	set, brokers := kafka.Name, fmt.Sprintf("%s.%s:%d", kafka.Name, plan.DataNamespace, kafka.ClientPort)
	if t.config.Kafka.IsExternal() {
		set, brokers = mongo.Name, t.config.Kafka.External.BootstrapServers[0]
		if t.config.Mongo.External {
			t.say("  SKIP   the network policies: Kafka and the database are external, so there is no image with a shell to test connections from")
			return
		}
	}
	image, err := t.kube.run(ctx, "-n", plan.DataNamespace, "get", "statefulset", set, "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	if err != nil {
		t.report("finding the image of "+set, err)
		return
	}
	targets := []string{brokers, fmt.Sprintf("%s.%s:%d", plan.ManagementAPI, plan.AppNamespace, t.portOf(plan.ManagementAPI))}
	if !t.config.Mongo.External {
		targets = append(targets, fmt.Sprintf("%s-0.%s-nodes.%s:%d", mongo.Name, mongo.Name, plan.DataNamespace, mongo.Port))
	}
	type probe struct{ Name, Namespace, Label, who, open, Run, Image, Targets string }
	probes := []probe{
		// It has the label of the topics Job, the only one that may connect to Kafka and that no Service selects: with another
		// one it would get that service's requests.
		{Name: "known", Namespace: plan.AppNamespace, Label: plan.TopicsJob, who: "a pod with the edge of topics", open: brokers},
		{Name: "unknown", Namespace: plan.AppNamespace, Label: "e2e-stranger", who: "a pod without an edge"},
		{Name: "outside", Namespace: "default", Label: "e2e-stranger", who: "a pod of another namespace"},
	}
	manifest := template.Must(template.New("probe").Parse(probeManifest))
	for i := range probes {
		q := &probes[i]
		q.Name, q.Run, q.Image, q.Targets = t.name+"-"+q.Name, t.name, image, strings.Join(targets, " ")
		var text strings.Builder
		err := manifest.Execute(&text, q)
		if err == nil {
			_, err = t.kube.feed(ctx, text.String(), "apply", "-f", "-")
		}
		if err != nil {
			t.report("starting the probes", err)
			return
		}
	}
	for _, q := range probes {
		_, err := t.kube.run(ctx, "-n", q.Namespace, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/"+q.Name, "--timeout=4m")
		if err != nil {
			t.report(q.who, err)
			continue
		}
		printed, err := t.kube.run(ctx, "-n", q.Namespace, "logs", q.Name)
		if err != nil {
			t.report(q.who, err)
			continue
		}
		for _, target := range targets {
			if t.config.Kafka.IsExternal() && target == brokers && q.Namespace != plan.AppNamespace {
				continue // neither end of that connection is the stack's
			}
			want := target + "=refused"
			if target == q.open {
				want = target + "=open"
			}
			var err error
			if !slices.Contains(strings.Fields(printed), want) {
				err = fmt.Errorf("the probe printed: %s", strings.TrimSpace(printed))
			}
			t.report(q.who+" to "+strings.Replace(want, "=", ": ", 1), err)
		}
	}
}
