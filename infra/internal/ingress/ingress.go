// Package ingress declares the routes from outside to the services, as an Ingress or as a Gateway with HTTPRoutes. It uses
// no feature of a particular controller.
package ingress

import (
	"fmt"

	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/label"
	"shopstream/infra/internal/namespace"
)

// Route sends the requests for a path, and for everything below it, to a service.
type Route struct {
	Path    string
	Service string
	Port    int

	// Exact excludes paths below it.
	Exact bool
}

// Args describes the routes of one host.
type Args struct {
	Namespace *namespace.Namespace
	Class     string

	// Host is empty for every host.
	Host   string
	Routes []Route

	// Listeners are the ports of a Gateway; an Ingress doesn't set them.
	Listeners Listeners

	// TLSSecret contains the certificate. Empty means plain HTTP.
	TLSSecret   string
	Annotations map[string]string
}

// New declares the Ingress.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) error {
	paths := networkingv1.HTTPIngressPathArray{}
	for _, route := range args.Routes {
		pathType := "Prefix"
		if route.Exact {
			pathType = "Exact"
		}
		paths = append(paths, networkingv1.HTTPIngressPathArgs{
			Path:     pulumi.String(route.Path),
			PathType: pulumi.String(pathType),
			Backend: &networkingv1.IngressBackendArgs{
				Service: &networkingv1.IngressServiceBackendArgs{
					Name: pulumi.String(route.Service),
					Port: &networkingv1.ServiceBackendPortArgs{Number: pulumi.Int(route.Port)},
				},
			},
		})
	}
	rule := networkingv1.IngressRuleArgs{Http: &networkingv1.HTTPIngressRuleValueArgs{Paths: paths}}
	spec := &networkingv1.IngressSpecArgs{IngressClassName: pulumi.String(args.Class)}
	if args.Host != "" {
		rule.Host = pulumi.String(args.Host)
	}
	if args.TLSSecret != "" {
		spec.Tls = networkingv1.IngressTLSArray{networkingv1.IngressTLSArgs{
			SecretName: pulumi.String(args.TLSSecret), Hosts: pulumi.ToStringArray([]string{args.Host}),
		}}
	}
	spec.Rules = networkingv1.IngressRuleArray{rule}

	meta := label.Meta(name, args.Namespace.Ref, label.Standard(name, "ingress"))
	annotations := pulumi.StringMap{
		// A cluster without a load balancer never gives an Ingress its address, and pulumi would wait for it.
		"pulumi.com/skipAwait": pulumi.String("true"),
	}
	for key, value := range args.Annotations {
		annotations[key] = pulumi.String(value)
	}
	meta.Annotations = annotations

	_, err := networkingv1.NewIngress(ctx, name, &networkingv1.IngressArgs{Metadata: meta, Spec: spec}, opts...)
	if err != nil {
		return fmt.Errorf("creating ingress %q: %w", name, err)
	}
	return nil
}
