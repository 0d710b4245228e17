package main

import "shopstream/infra/internal/ingress"

// routes returns what is reachable from outside: the shop, and what people use of the API. It names every path, since
// a route for all of them would let the services' metrics and probes out too.
func (c Config) routes() []ingress.Route {
	ports := map[string]int{}
	for _, s := range c.services() {
		ports[s.name] = s.port
	}
	route := func(service, path string) ingress.Route {
		return ingress.Route{Path: path, Service: service, Port: ports[service]}
	}
	shop := route(webServer, "/")
	shop.Exact = true

	routes := []ingress.Route{shop}
	for _, path := range []string{"/shop", "/openapi.yaml", "/api/v1", "/buy", "/getAllUserBuys"} {
		routes = append(routes, route(webServer, path))
	}
	for _, path := range []string{"/messages", "/topics", "/groups", "/viewer", "/health"} {
		routes = append(routes, route(apiService, path))
	}
	return routes
}
