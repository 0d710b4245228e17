package plan

import (
	"time"

	"shopstream/infra/internal/addon"
	"shopstream/infra/internal/app"
	"shopstream/infra/internal/config"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/mongo"
)

// guardPortName is the port of Kafka's nodes whose metrics are read; an external Kafka has none.
func guardPortName(c config.Config) string {
	if c.Kafka.IsExternal() {
		return ""
	}
	return kafka.GuardPortName
}

// finalizeAfter is when an upgrade of Kafka ends by itself, or zero.
func finalizeAfter(c config.Config) time.Duration {
	if c.Kafka.IsExternal() || !c.Kafka.Finalize {
		return 0
	}
	return max(time.Duration(c.Kafka.FinalizeAfter), time.Minute)
}

// Charts returns the addons that the stack installs.
func Charts(c config.Config) []addon.Chart {
	var charts []addon.Chart
	controller := addon.ControllerArgs{
		Namespace: c.Ingress.Namespace, Class: c.Ingress.Class, ServiceType: c.Ingress.ServiceType,
		Replicas: c.Ingress.Replicas, Zones: c.Cluster.Zones, Routed: AppNamespace,
	}
	switch c.Ingress.Controller {
	case config.Nginx:
		charts = append(charts, addon.IngressNginx(controller))
	case config.Traefik:
		charts = append(charts, addon.Traefik(controller))
	}
	if c.Addons.KEDA {
		charts = append(charts, addon.KEDA(addon.KEDAArgs{
			Namespace: c.Addons.KEDANamespace, Watched: AppNamespace, ReadsSecrets: Authenticated(c),
		}))
	}
	if c.Addons.MetricsServer {
		charts = append(charts, addon.MetricsServer(c.Addons.MonitoringNamespace, c.Addons.KubeletInsecureTLS))
	}
	if c.Addons.Prometheus {
		charts = append(charts, addon.Prometheus(addon.PrometheusArgs{
			Namespace:     c.Addons.MonitoringNamespace,
			Retention:     c.Addons.PrometheusRetention.String(),
			Storage:       c.Addons.PrometheusStorage,
			Exemplars:     c.Tracing.On(),
			AppNamespace:  AppNamespace,
			DataNamespace: DataNamespace,
			Broker:        kafka.Name,
			Database:      mongo.Name,
			PortName:      app.PortName,
			GuardPortName: guardPortName(c),
			FinalizeAfter: finalizeAfter(c),
			Runbooks:      c.Addons.Runbooks,
		}))
	}
	if c.Addons.Dashboards() {
		charts = append(charts, addon.Grafana(c.Addons.MonitoringNamespace, c.Tracing.URL))
	}
	if c.Addons.Jaeger {
		charts = append(charts, addon.Jaeger(c.Addons.MonitoringNamespace))
	}
	source := addon.Source{
		Repository: c.Addons.Repository, Folder: c.Addons.Folder, Values: c.Addons.Values,
	}
	for i := range charts {
		charts[i] = source.Apply(charts[i])
	}
	return charts
}
