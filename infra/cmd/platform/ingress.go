package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/endpoint"
	"shopstream/infra/internal/plan"
)

// ingress says how the services are reached from outside: the Service of the ingress controller, if the stack installs one,
// and the URL, if it is known.
type ingress struct {
	namespace, service, url string
	scheme                  string
}

func (p *platform) ingress(ctx context.Context) (ingress, error) {
	e := ingress{namespace: p.config.Ingress.Namespace, scheme: "http"}
	if p.config.Ingress.TLSSecret != "" {
		e.scheme = "https"
	}
	if p.config.Ingress.Host != "" {
		e.url = e.scheme + "://" + p.config.Ingress.Host
	}
	if !p.config.Ingress.Installed() {
		return e, nil
	}
	rows, err := p.kube.rows(ctx, []string{".metadata.name", ".spec.type", ".status.loadBalancer.ingress[0].ip", ".status.loadBalancer.ingress[0].hostname", `.spec.ports[?(@.port==80)].nodePort`},
		"-n", e.namespace, "service", "-l", "app.kubernetes.io/name="+p.config.Ingress.Release())
	for _, row := range rows {
		name, kind, address, nodePort := row[0], row[1], cmp.Or(row[2], row[3]), row[4]
		if strings.HasSuffix(name, "admission") {
			continue
		}
		e.service = name
		switch {
		case e.url != "":
		case kind == "LoadBalancer" && address != "":
			e.url = e.scheme + "://" + address
		case kind == "NodePort":
			node, _ := p.kube.run(ctx, "get", "nodes", "-o", `jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}`)
			url := fmt.Sprintf("http://%s:%s", strings.TrimSpace(node), nodePort)
			// On macOS and Windows the node is inside a virtual machine, where this address can't be reached.
			if _, err := endpoint.New(endpoint.Endpoint{URL: url}, 5*time.Second, 0).Get(ctx, "/health"); err == nil {
				e.url = url
			}
		}
		break
	}
	return e, err
}

// showSummary shows what is running and how to reach it.
func (p *platform) showSummary(ctx context.Context) error {
	pods, err := p.pods(ctx)
	if err != nil {
		return err
	}
	p.step("shopstream is up on %s", p.kube.context)
	p.printPods(pods)
	e, err := p.ingress(ctx)
	if err != nil {
		return err
	}
	if e.url == "" && e.service != "" {
		e.url = "http://localhost:8080"
		p.say("\nKeep this running to reach the ingress controller:\n  kubectl --context %s -n %s port-forward service/%s 8080:80", p.kube.context, e.namespace, e.service)
	}
	if e.url != "" {
		p.say("\n  the system     %s/system\n  shop           %s/\n  topic viewer   %s/viewer\n  messages       %s/messages?topic=orders&limit=10", e.url, e.url, e.url, e.url)
	}
	if p.config.Addons.Prometheus {
		p.say("  Prometheus     kubectl --context %s -n %s port-forward service/prometheus-server 9090:80", p.kube.context, p.config.Addons.MonitoringNamespace)
	}
	if p.config.Addons.Dashboards() {
		p.say("  dashboards     kubectl --context %s -n %s port-forward service/grafana 3300:80, then http://localhost:3300", p.kube.context, p.config.Addons.MonitoringNamespace)
	}
	if p.config.Addons.Jaeger {
		p.say("  traces         kubectl --context %s -n %s port-forward service/jaeger 16686, then http://localhost:16686", p.kube.context, p.config.Addons.MonitoringNamespace)
	}
	p.say(`
  make status    pods, autoscalers and lag      make e2e     buy something and find it again
  make logs      the services' logs             make down    delete all of it`)
	if p.config.Ingress.Controller == config.Nginx {
		p.say("\nNote: %s", config.NginxCaveat)
	}
	return nil
}

// requestTimeout is longer than the platform takes for any answer.
const requestTimeout = 15 * time.Second

// client returns a client of an endpoint, with the token of api if it requires one.
func (p *platform) client(ctx context.Context, address, url string) endpoint.Client {
	encoded, _ := p.kube.run(ctx, "-n", plan.AppNamespace, "get", "secret", "api-token", "--ignore-not-found", "-o", "jsonpath={.data.token}")
	token, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	return endpoint.New(endpoint.Endpoint{URL: url, Address: address, Token: string(token)}, requestTimeout, 0)
}

// portOf returns the port of a service.
func (p *platform) portOf(service string) int {
	for _, s := range plan.Services(p.config) {
		if s.Name == service {
			return s.Port
		}
	}
	return 0
}
