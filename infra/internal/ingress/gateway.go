package ingress

import (
	"fmt"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/label"
)

// Listeners are the ports of a Gateway. HTTPS is used if there is a certificate.
type Listeners struct{ HTTP, HTTPS int }

// strictTransport makes browsers use TLS for the host from then on; ingress-nginx sends the same.
const strictTransport = "max-age=31536000; includeSubDomains"

// NewGateway declares the Gateway and its HTTPRoutes.
func NewGateway(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) error {
	gateway, err := object(ctx, "Gateway", name, args, gatewaySpec(args), args.Annotations, opts...)
	if err != nil {
		return err
	}
	opts = append(opts, pulumi.DependsOn([]pulumi.Resource{gateway}))
	if _, err := object(ctx, "HTTPRoute", name, args, routeSpec(name, args), nil, opts...); err != nil {
		return err
	}
	if args.TLSSecret == "" {
		return nil
	}
	_, err = object(ctx, "HTTPRoute", name+"-to-https", args, redirectSpec(name, args), nil, opts...)
	return err
}

func object(
	ctx *pulumi.Context, kind, name string, args *Args, spec map[string]any, annotations map[string]string,
	opts ...pulumi.ResourceOption,
) (*apiextensions.CustomResource, error) {
	meta := label.Meta(name, args.Namespace.Ref, label.Standard(name, "ingress"))
	if len(annotations) > 0 {
		meta.Annotations = pulumi.ToStringMap(annotations)
	}
	made, err := apiextensions.NewCustomResource(ctx, name, &apiextensions.CustomResourceArgs{
		ApiVersion:  pulumi.String("gateway.networking.k8s.io/v1"),
		Kind:        pulumi.String(kind),
		Metadata:    meta,
		OtherFields: kubernetes.UntypedArgs{"spec": pulumi.ToMap(spec)},
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("creating %s %q: %w", kind, name, err)
	}
	return made, nil
}

func gatewaySpec(args *Args) map[string]any {
	listener := func(name, protocol string, port int) map[string]any {
		l := map[string]any{"name": name, "protocol": protocol, "port": port}
		if args.Host != "" {
			l["hostname"] = args.Host
		}
		return l
	}
	listeners := []any{listener("http", "HTTP", args.Listeners.HTTP)}
	if args.TLSSecret != "" {
		https := listener("https", "HTTPS", args.Listeners.HTTPS)
		https["tls"] = map[string]any{
			"mode":            "Terminate",
			"certificateRefs": []any{map[string]any{"kind": "Secret", "name": args.TLSSecret}},
		}
		listeners = append(listeners, https)
	}
	return map[string]any{"gatewayClassName": args.Class, "listeners": listeners}
}

// routeSpec has one rule for each service, with all the paths that lead to it.
func routeSpec(gateway string, args *Args) map[string]any {
	var targets []Route
	matches := map[string][]any{}
	for _, route := range args.Routes {
		if matches[route.Service] == nil {
			targets = append(targets, route)
		}
		pathType := "PathPrefix"
		if route.Exact {
			pathType = "Exact"
		}
		matches[route.Service] = append(matches[route.Service], map[string]any{
			"path": map[string]any{"type": pathType, "value": route.Path},
		})
	}
	listener := "http"
	rules := make([]any, 0, len(targets))
	for _, target := range targets {
		rule := map[string]any{
			"matches":     matches[target.Service],
			"backendRefs": []any{map[string]any{"kind": "Service", "name": target.Service, "port": target.Port}},
		}
		if args.TLSSecret != "" {
			listener = "https"
			rule["filters"] = []any{map[string]any{
				"type": "ResponseHeaderModifier",
				"responseHeaderModifier": map[string]any{"set": []any{
					map[string]any{"name": "Strict-Transport-Security", "value": strictTransport},
				}},
			}}
		}
		rules = append(rules, rule)
	}
	return attached(gateway, listener, args, rules)
}

// redirectSpec redirects requests without TLS to the same address with it.
func redirectSpec(gateway string, args *Args) map[string]any {
	return attached(gateway, "http", args, []any{map[string]any{"filters": []any{map[string]any{
		"type":            "RequestRedirect",
		"requestRedirect": map[string]any{"scheme": "https", "statusCode": 308},
	}}}})
}

// attached is the spec of a route on one listener of the gateway.
func attached(gateway, listener string, args *Args, rules []any) map[string]any {
	spec := map[string]any{
		"parentRefs": []any{map[string]any{"kind": "Gateway", "name": gateway, "sectionName": listener}},
		"rules":      rules,
	}
	if args.Host != "" {
		spec["hostnames"] = []any{args.Host}
	}
	return spec
}
