package platform

import (
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"shopstream/infra/internal/ingress"
)

func TestProbesAndMetricsStayInside(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		routes := servedPaths(t, declared)
		served := func(request string) bool {
			return slices.ContainsFunc(routes, func(r ingress.Route) bool {
				return r.Path == request || !r.Exact && strings.HasPrefix(request, strings.TrimSuffix(r.Path, "/")+"/")
			})
		}
		for _, request := range []string{"/metrics", "/-/ready", "/-/healthy", "/debug/pprof"} {
			if served(request) {
				t.Errorf("%s is reachable from outside", request)
			}
		}
		for _, request := range []string{
			"/", "/shop/app.js", "/buy", "/api/v1/buy", "/getAllUserBuys/ann", "/api/v1/buys/1", "/messages", "/messages/stream", "/topics",
			"/topics/orders/config", "/groups", "/brokers", "/viewer", "/viewer/app.js", "/health",
		} {
			if !served(request) {
				t.Errorf("%s is not reachable from outside", request)
			}
		}
	})
}

// servedPaths returns the paths of the Ingress, or of the HTTPRoutes to services.
func servedPaths(t *testing.T, declared resources) []ingress.Route {
	t.Helper()
	var routes []ingress.Route
	for _, i := range objects[networkingv1.Ingress](t, declared, "Ingress") {
		for _, p := range i.Spec.Rules[0].HTTP.Paths {
			routes = append(routes, ingress.Route{Path: p.Path, Exact: *p.PathType == networkingv1.PathTypeExact})
		}
	}
	for _, route := range objects[gatewayv1.HTTPRoute](t, declared, "HTTPRoute") {
		for _, rule := range route.Spec.Rules {
			for _, m := range rule.Matches {
				routes = append(routes, ingress.Route{Path: *m.Path.Value, Exact: *m.Path.Type == gatewayv1.PathMatchExact})
			}
		}
	}
	return routes
}
