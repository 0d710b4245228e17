package main

import (
	"fmt"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/addon"
	"shopstream/infra/internal/app"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/mongo"
	"shopstream/infra/internal/namespace"
)

// charts returns the addons that the stack installs.
func (c Config) charts() []addon.Chart {
	var charts []addon.Chart
	if c.Addons.IngressNginx {
		charts = append(charts, addon.IngressNginx(addon.IngressNginxArgs{
			Namespace: c.Ingress.Namespace, Class: c.Ingress.Class, ServiceType: c.Ingress.ServiceType,
		}))
	}
	if c.Addons.KEDA {
		charts = append(charts, addon.KEDA(c.Addons.KEDANamespace))
	}
	if c.Addons.MetricsServer {
		charts = append(charts, addon.MetricsServer(c.Addons.MonitoringNamespace, c.Addons.KubeletInsecureTLS))
	}
	if c.Addons.Prometheus {
		charts = append(charts, addon.Prometheus(addon.PrometheusArgs{
			Namespace:     c.Addons.MonitoringNamespace,
			Retention:     c.Addons.PrometheusRetention.String(),
			Storage:       c.Addons.PrometheusStorage,
			AppNamespace:  appNamespace,
			DataNamespace: dataNamespace,
			Broker:        kafka.Name,
			Database:      mongo.Name,
			PortName:      app.PortName,
		}))
	}
	source := addon.Source{
		Repository: c.Addons.Repository, Folder: c.Addons.Folder, Values: c.Addons.Values,
	}
	for i := range charts {
		charts[i] = source.Apply(charts[i])
	}
	return charts
}

// addons is the installed charts, by name. What is not installed is not in it.
type addons map[string]pulumi.Resource

// after returns an option that puts a resource after a chart, and its deletion before the chart's.
func (a addons) after(names ...string) pulumi.ResourceOption {
	var installed []pulumi.Resource
	for _, name := range names {
		if release, ok := a[name]; ok {
			installed = append(installed, release)
		}
	}
	return pulumi.DependsOn(installed)
}

func newAddons(
	ctx *pulumi.Context, charts []addon.Chart, namespaces map[string]*namespace.Namespace, unlock addon.Unlock,
	opts ...pulumi.ResourceOption,
) (addons, error) {
	hooks, err := addon.UnlockFirst(ctx, unlock)
	if err != nil {
		return nil, err
	}
	opts = slices.Concat(opts, hooks)
	installed := addons{}
	for _, chart := range charts {
		release, err := addon.NewRelease(ctx, namespaces[chart.Namespace].Ref, chart, opts...)
		if err != nil {
			return nil, fmt.Errorf("installing addons: %w", err)
		}
		installed[chart.Name] = release
	}
	return installed, nil
}
