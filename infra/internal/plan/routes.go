package plan

import (
	"shopstream/infra/internal/addon"
	"shopstream/infra/internal/config"
	"shopstream/infra/internal/ingress"
)

// Listeners returns the ports of the Gateway.
func Listeners(c config.Config) ingress.Listeners {
	if c.Ingress.Controller == config.Traefik {
		return ingress.Listeners{HTTP: addon.TraefikHTTP, HTTPS: addon.TraefikHTTPS}
	}
	return ingress.Listeners{HTTP: 80, HTTPS: 443}
}

// Routes returns what is reachable from outside: the shop, and the public part of the API. It lists every path, since a
// route for all of them would expose the services' metrics and probes too.
func Routes(c config.Config) []ingress.Route {
	ports := map[string]int{}
	for _, s := range Services(c) {
		ports[s.Name] = s.Port
	}
	route := func(service, path string) ingress.Route {
		return ingress.Route{Path: path, Service: service, Port: ports[service]}
	}
	shop := route(WebServer, "/")
	shop.Exact = true

	routes := []ingress.Route{shop}
	for _, path := range []string{"/shop", "/openapi.yaml", "/api/v1", "/buy", "/getAllUserBuys"} {
		routes = append(routes, route(WebServer, path))
	}
	for _, path := range []string{"/messages", "/topics", "/groups", "/brokers", "/viewer", "/system", "/health"} {
		routes = append(routes, route(API, path))
	}
	return routes
}
