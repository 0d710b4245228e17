package main

import "shopstream/infra/internal/ingress"

// routes returns what is reachable from outside: the shop, and what people use of the API. The services' probes and
// metrics are not.
func (c Config) routes() []ingress.Route {
	var shop, api int
	for _, s := range c.services() {
		switch s.name {
		case webServer:
			shop = s.port
		case apiService:
			api = s.port
		}
	}
	routes := []ingress.Route{{Path: "/", Service: webServer, Port: shop}}
	for _, path := range []string{"/messages", "/topics", "/groups", "/viewer", "/health"} {
		routes = append(routes, ingress.Route{Path: path, Service: apiService, Port: api})
	}
	return routes
}
