package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// trial is one run of the smoke test of a running platform: somebody buys something from outside and finds it again, the
// orders are counted, and a pod that the call graph doesn't know gets nowhere. It waits for nothing without end, and
// takes away what it has made.
type trial struct {
	*platform
	name         string // of this run: its pods and its buyer
	shop, api    visitor
	shopURL      string
	apiURL       string
	event        string
	failed       int
	closeForward []func()
}

func (p *platform) e2e(ctx context.Context) error {
	if err := p.needCluster(ctx); err != nil {
		return err
	}
	t := &trial{platform: p, name: fmt.Sprintf("e2e-%d-%d", time.Now().Unix(), os.Getpid())}
	p.step("Smoke test of stack %s on %s", p.stack, p.kube.context)
	if _, err := p.kube.run(ctx, "-n", shop, "get", "deployment", "web-server"); err != nil {
		return fmt.Errorf("the platform is not up on %q: run make up", p.kube.context)
	}
	defer t.cleanUp(ctx)
	t.checkRollouts(ctx)
	if err := t.findWayIn(ctx); err != nil {
		return err
	}
	t.checkPurchase(ctx)
	t.check(ctx, 90*time.Second, "the demo orders are counted", t.counted)
	t.check(ctx, 2*time.Minute, "KEDA watches every scaler", t.scalersReady)
	t.say("Who may call whom (this takes up to a minute: a refused connection is one that never answers)")
	t.checkPolicies(ctx)
	if t.failed > 0 {
		return fmt.Errorf("%d checks failed. make status and make logs say more", t.failed)
	}
	p.step("Everything works.")
	return nil
}

func (t *trial) cleanUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	_, _ = t.kube.run(ctx, "delete", "pods", "-A", "-l", "shopstream/e2e="+t.name, "--now", "--wait=false")
	for _, closing := range t.closeForward {
		closing()
	}
}

func (t *trial) report(what string, err error) {
	if err != nil {
		t.failed++
		t.say("  FAILED %s: %v", what, err)
		return
	}
	t.say("  ok     %s", what)
}

// check tries until there is no error.
func (t *trial) check(ctx context.Context, limit time.Duration, what string, try func(context.Context) error) bool {
	var err error
	ok := within(ctx, limit, func(ctx context.Context) bool {
		attempt := try(ctx)
		if ctx.Err() == nil || err == nil {
			err = attempt
		}
		return attempt == nil
	})
	if ok {
		err = nil
	} else {
		what += fmt.Sprintf(" within %s", limit)
	}
	t.report(what, err)
	return ok
}

func (t *trial) checkRollouts(ctx context.Context) {
	for _, name := range []string{"web-server", "management-api", "api", "producer", "consumer"} {
		_, err := t.kube.run(ctx, "-n", shop, "rollout", "status", "deployment/"+name, "--timeout=180s")
		t.report(name+" is rolled out", err)
	}
}

// findWayIn reaches the ingress as its clients do, or, where the stack has no controller of its own to forward to, the
// services.
func (t *trial) findWayIn(ctx context.Context) error {
	token := t.apiToken(ctx)
	open := func(namespace, target string, port int) (*forward, error) {
		f, err := t.kube.forward(ctx, namespace, target, port)
		if err == nil {
			t.closeForward = append(t.closeForward, f.close)
		}
		return f, err
	}
	way, err := t.wayIn(ctx)
	if err != nil {
		return err
	}
	if way.service != "" {
		scheme, port, host := "http", 80, way.host
		if way.tls {
			scheme, port = "https", 443
		}
		if host == "" {
			host = "localhost"
		}
		f, err := open(way.namespace, "service/"+way.service, port)
		if err != nil {
			return err
		}
		t.shop = visitor{http: through(f.address)}
		t.api = visitor{http: through(f.address), token: token}
		t.shopURL = scheme + "://" + host
		t.apiURL = t.shopURL
		t.say("Through the ingress (%s/%s)", way.namespace, way.service)
		return nil
	}
	toShop, err := open(shop, "service/web-server", 8081)
	if err != nil {
		return err
	}
	toAPI, err := open(shop, "service/api", 3000)
	if err != nil {
		return err
	}
	t.shop, t.shopURL = visitor{http: direct()}, toShop.url("http")
	t.api, t.apiURL = visitor{http: direct(), token: token}, toAPI.url("http")
	t.say("Through port-forwards to web-server and api, since the stack installs no ingress controller")
	return nil
}

func (t *trial) checkPurchase(ctx context.Context) {
	if !t.check(ctx, time.Minute, "a purchase is answered with 202", t.buy) {
		return
	}
	t.say("         its event id is %s", t.event)
	t.check(ctx, time.Minute, "it is stored, and its buyer finds it", t.shows(t.shop, t.shopURL+"/api/v1/getAllUserBuys/"+t.name))
	// With a thousand purchases a second it would have to look further.
	t.check(ctx, 30*time.Second, "/messages shows it", t.shows(t.api, t.apiURL+"/messages?topic=purchases&limit=1000"))
}

func (t *trial) buy(ctx context.Context) error {
	code, body, err := t.shop.do(ctx, http.MethodPost, t.shopURL+"/api/v1/buy",
		fmt.Sprintf(`{"username":"Smoke Test","userid":%q,"price":12.34}`, t.name))
	if err != nil {
		return err
	}
	var answer struct{ Data struct{ EventID string } }
	if err := json.Unmarshal(body, &answer); code != http.StatusAccepted || err != nil || answer.Data.EventID == "" {
		return fmt.Errorf("the answer is %d %s", code, body)
	}
	t.event = answer.Data.EventID
	return nil
}

// shows looks for the event in an answer.
func (t *trial) shows(v visitor, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		body, err := v.get(ctx, url)
		if err == nil && !strings.Contains(string(body), t.event) {
			err = errors.New("it is not in the answer")
		}
		return err
	}
}

func (t *trial) counted(ctx context.Context) error {
	body, err := t.api.get(ctx, t.apiURL+"/messages?topic=product-totals&limit=1")
	if err == nil && !strings.Contains(string(body), `"value"`) {
		err = errors.New("there are no totals")
	}
	return err
}

func (t *trial) scalersReady(ctx context.Context) error {
	rows, err := t.kube.rows(ctx, []string{".metadata.name", `.status.conditions[?(@.type=="Ready")].status`}, "-n", shop, "scaledobjects.keda.sh")
	if err == nil && len(rows) == 0 {
		err = errors.New("there is no scaler")
	}
	for _, row := range rows {
		if row[1] != "True" {
			err = errors.Join(err, fmt.Errorf("%s is not ready", row[0]))
		}
	}
	return err
}
