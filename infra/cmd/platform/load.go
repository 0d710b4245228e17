package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"shopstream/infra/internal/capacity"
	"shopstream/infra/internal/endpoint"
	"shopstream/infra/internal/load"
	"shopstream/infra/internal/plan"
)

// loadTest runs a load test on the running stack.
func (p *platform) loadTest(ctx context.Context) error {
	if p.getenv("URL") != "" {
		return errors.New("URL is for a platform without a cluster (bin/load): leave it out to load the stack at its own address")
	}
	phases, err := load.Phases(p.getenv)
	if err != nil {
		return err
	}
	if err := p.needCluster(ctx); err != nil {
		return fmt.Errorf("%w. The platform of make run is loaded by make load URL=http://localhost:8081", err)
	}
	if _, err := p.kube.run(ctx, "-n", plan.AppNamespace, "get", "deployment", plan.WebServer); err != nil {
		return fmt.Errorf("the platform is not up on %q: run make up", p.kube.context)
	}
	shop, api, stop, err := p.loadEndpoints(ctx)
	defer stop()
	if err != nil {
		return err
	}
	services, group := p.watched()
	return load.Run(ctx, load.Options{
		Shop: shop, API: api, Phases: phases, Group: group, Services: services, Pods: p.podCounts,
		Plot: cmp.Or(p.getenv("OUT"), filepath.Join(p.root, "build", "load.html")), Out: p.out,
	})
}

// loadEndpoints returns the address of the ingress controller if this machine reaches it, and port-forwards otherwise.
func (p *platform) loadEndpoints(ctx context.Context) (shop, api endpoint.Endpoint, stop func(), err error) {
	t := &smokeTest{platform: p}
	stop = func() {
		for _, stop := range t.stops {
			stop()
		}
	}
	e, err := p.ingress(ctx)
	if err != nil {
		return shop, api, stop, err
	}
	if e.url != "" {
		direct := p.client(ctx, "", e.url)
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if _, err := direct.Get(limited, "/health"); err == nil {
			return direct.Endpoint, direct.Endpoint, stop, nil
		}
	}
	p.warn("the load goes through kubectl port-forward, which may be slower than the shop. Without an ingress controller it is not spread over the pods either.")
	if err := t.enter(ctx); err != nil {
		return shop, api, stop, err
	}
	return t.shop.Endpoint, t.api.Endpoint, stop, nil
}

// watched returns the services that every purchase passes through, and the consumer group that stores the purchases.
func (p *platform) watched() (services []load.Service, group string) {
	shrink := load.Shrink{Window: capacity.ShrinkAfter, Step: capacity.ShrinkEvery}
	for _, s := range plan.Services(p.config) {
		if !s.Purchases {
			continue
		}
		watched := load.Service{Name: s.Name, Min: s.Size.Min, Max: s.Size.Max, Shrink: shrink}
		if s.Scale.Lag != nil {
			model := s.Model()
			watched.Model, group = &model, s.Scale.Group
		} else { // web-server
			watched.PerPod = capacity.Buys(s.CPUTarget())
		}
		services = append(services, watched)
	}
	return services, group
}

// podCounts returns how many pods of each service are wanted and ready.
func (p *platform) podCounts(ctx context.Context) (map[string]load.Pods, error) {
	rows, err := p.kube.rows(ctx, []string{".metadata.name", ".spec.replicas", ".status.readyReplicas"}, "-n", plan.AppNamespace, "deployments")
	counts := map[string]load.Pods{}
	for _, row := range rows {
		var c load.Pods
		c.Wanted, _ = strconv.Atoi(row[1])
		c.Ready, _ = strconv.Atoi(row[2]) // empty if there is none
		counts[row[0]] = c
	}
	return counts, err
}
