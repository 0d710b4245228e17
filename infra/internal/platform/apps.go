package platform

import (
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/app"
	"shopstream/infra/internal/config"
	"shopstream/infra/internal/image"
	"shopstream/infra/internal/ingress"
	"shopstream/infra/internal/label"
	"shopstream/infra/internal/namespace"
	"shopstream/infra/internal/plan"
	"shopstream/infra/internal/pod"
	"shopstream/infra/internal/scale"
	"shopstream/infra/internal/secret"
)

// apiSecret is the Secret with the bearer token that `api` requires.
const apiSecret = "api-token"

func (p platform) declareServices(
	ctx *pulumi.Context, shop *namespace.Namespace, images *image.Images, installed addons, d data,
	opts ...pulumi.ResourceOption,
) ([]pulumi.Resource, error) {
	if keda := d.credentials.keda; keda.Secret != "" {
		_, err := scale.NewKafkaAuthentication(ctx, keda.Secret, shop.Ref, keda, append(slices.Clone(opts), installed.after("keda"))...)
		if err != nil {
			return nil, err
		}
	}
	var workloads []pulumi.Resource
	for _, s := range plan.Services(p.config) {
		workload, err := p.declareService(ctx, shop, s, images, installed, d, opts...)
		if err != nil {
			return nil, err
		}
		// The Deployment and not the component, of whose resources Pulumi sometimes leaves some out of the dependencies.
		workloads = append(workloads, workload.Deployment)
	}
	return workloads, nil
}

// declareService declares a service of the table, with what its line says that it needs, and its autoscaler.
func (p platform) declareService(
	ctx *pulumi.Context, shop *namespace.Namespace, s plan.Service, images *image.Images, installed addons, d data,
	opts ...pulumi.ResourceOption,
) (*app.Workload, error) {
	opts = append(opts, pulumi.DependsOn(append([]pulumi.Resource{images, d.topics}, d.database.resources...)))
	connections := d.kafka.EnvVars(p.login(s.Name))
	secrets := slices.Clone(d.credentials.clients)
	if s.Database {
		connections = append(connections, d.database.env...)
		secrets = append(secrets, d.database.secret)
	}
	if s.Token {
		token, err := p.declareToken(ctx, shop, opts...)
		if err != nil {
			return nil, err
		}
		if token != nil {
			connections = append(connections, pod.Secret("API_TOKEN", apiSecret, "token"))
			secrets = append(secrets, token)
		}
	}
	workload, err := app.NewWorkload(ctx, s.Name, &app.WorkloadArgs{
		Namespace: shop,
		Image:     images.Reference(s.Name),
		Port:      s.Port,
		Env:       s.Environment(p.config.LogLevel, connections...),
		Secrets:   secrets,
		Files:     d.credentials.files,
		Resources: s.Resources(),
		Zones:     p.config.Cluster.Zones,
		Drain:     plan.DrainDelay,
		Step:      plan.ShutdownStep,
		Options:   images.LoadFirst(),
	}, opts...)
	if err != nil {
		return nil, err
	}
	return workload, p.declareScaler(ctx, shop, s, workload, installed, d, opts...)
}

// declareToken declares the Secret with api's bearer token, if one is set. A preview of a production stack may lack the
// token, but still shows the Secret.
func (p platform) declareToken(
	ctx *pulumi.Context, shop *namespace.Namespace, opts ...pulumi.ResourceOption,
) (*secret.Secret, error) {
	if p.secrets.APIToken == "" && p.config.Profile != config.Production {
		return nil, nil
	}
	values := map[string]secret.Value{"token": secret.Given(pulumi.String(p.secrets.APIToken))}
	meta := label.Meta(apiSecret, shop.Ref, label.Standard(apiSecret, "credentials"))
	return secret.New(ctx, apiSecret, meta, values, opts...)
}

func (p platform) declareScaler(
	ctx *pulumi.Context, shop *namespace.Namespace, s plan.Service, workload *app.Workload, installed addons, d data,
	opts ...pulumi.ResourceOption,
) error {
	target := scale.Target{
		Namespace: shop, Deployment: s.Name, Range: scale.Range{Min: s.Size.Min, Max: s.Size.Max},
	}
	cpu := scale.CPU(s.CPUTarget())
	opts = append(slices.Clone(opts), pulumi.Parent(workload), pulumi.DependsOn([]pulumi.Resource{workload.Deployment}))
	if s.Scale.Lag == nil && !s.Scale.KEDA {
		_, err := scale.NewCPU(ctx, s.Name, target, cpu, append(opts, installed.after("metrics-server"))...)
		return err
	}
	triggers := []scale.Trigger{cpu.Trigger()}
	if s.Scale.Lag != nil {
		lag := scale.Lag{
			BootstrapServers: d.kafka.BootstrapServers,
			Topic:            s.Scale.Lag.Name,
			Group:            s.Scale.Group,
			Threshold:        s.Model().Threshold(),
			Authentication:   d.credentials.keda.Secret,
		}
		arrivals := scale.Arrivals{
			Service: s.Name, Namespace: plan.AppNamespace, Port: s.Port, Topic: s.Scale.Lag.Name, PerPod: s.Model().Steady(),
		}
		triggers = []scale.Trigger{lag.Trigger(), arrivals.Trigger(), cpu.Trigger()}
	}
	_, err := scale.NewScaledObject(ctx, s.Name, target, triggers,
		append(opts, installed.after("keda", "metrics-server"))...)
	return err
}

func (p platform) declareIngress(
	ctx *pulumi.Context, shop *namespace.Namespace, installed addons, opts ...pulumi.ResourceOption,
) error {
	settings := p.config.Ingress
	annotations := map[string]string{}
	if settings.ClusterIssuer != "" {
		annotations["cert-manager.io/cluster-issuer"] = settings.ClusterIssuer
	}
	for key, value := range settings.Annotations {
		annotations[key] = value
	}
	args := &ingress.Args{
		Namespace:   shop,
		Class:       settings.Class,
		Host:        settings.Host,
		Routes:      plan.Routes(p.config),
		Listeners:   plan.Listeners(p.config),
		TLSSecret:   settings.TLSSecret,
		Annotations: annotations,
	}
	// After the controller, whose webhook validates the Ingress.
	opts = append(opts, installed.after(settings.Release()))
	if settings.API == config.GatewayAPI {
		return ingress.NewGateway(ctx, label.PartOf, args, opts...)
	}
	return ingress.New(ctx, label.PartOf, args, opts...)
}

// export sets the stack's outputs.
func (p platform) export(ctx *pulumi.Context, d data) error {
	host, scheme := p.config.Ingress.Host, "http"
	if p.config.Ingress.TLSSecret != "" {
		scheme = "https"
	}
	// Without a host name the address is that of the ingress controller, which only the cluster knows: then there is no URL.
	if host != "" {
		ctx.Export("shopUrl", pulumi.String(scheme+"://"+host+"/"))
		ctx.Export("apiUrl", pulumi.String(scheme+"://"+host+"/viewer"))
	}
	ctx.Export("kafkaBootstrapServers", pulumi.String(d.kafka.BootstrapServers))
	ctx.Export("namespaces", pulumi.ToStringArray(plan.ClosedNamespaces(p.config)))
	return nil
}
