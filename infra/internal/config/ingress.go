package config

import (
	"cmp"
	"slices"
)

// The ingress controllers that a stack can install.
const (
	Nginx        = "nginx"
	Traefik      = "traefik"
	NoController = "none"
)

// The APIs for routes.
const (
	IngressAPI = "ingress"
	GatewayAPI = "gateway"
)

// complete sets what follows from the controller.
func (i *Ingress) complete() {
	switch i.Controller {
	case Nginx:
		i.API = cmp.Or(i.API, IngressAPI)
		i.Class = cmp.Or(i.Class, "nginx")
	case Traefik:
		i.API = cmp.Or(i.API, GatewayAPI)
		i.Class = cmp.Or(i.Class, "traefik")
	case NoController:
		i.API = cmp.Or(i.API, IngressAPI)
	}
	i.Namespace = cmp.Or(i.Namespace, i.Release())
}

// Release is the name of the controller's chart and of its release; empty if none is installed.
func (i Ingress) Release() string {
	switch i.Controller {
	case Nginx:
		return "ingress-nginx"
	case Traefik:
		return "traefik"
	}
	return ""
}

// Installed reports whether the stack installs the controller.
func (i Ingress) Installed() bool { return i.Release() != "" }

// NginxCaveat is a warning for users of ingress-nginx.
const NginxCaveat = "requests go through ingress-nginx. Its project was archived in March 2026, and the nginx in it has " +
	"CVE-2026-42945 and CVE-2026-42533, which will not be fixed. Use it only in a cluster of your own; if others have access, " +
	"set ingress.controller to traefik."

func checkIngress(c Ingress) []error {
	faults := slices.Concat(
		OneOf("ingress.controller", c.Controller, Nginx, Traefik, NoController),
		OneOf("ingress.api", c.API, IngressAPI, GatewayAPI),
		notEmpty("ingress.class", c.Class, "set the class of the controller that the cluster has"),
		objectName("ingress.class", c.Class),
		namespaceName("ingress.namespace", c.Namespace),
		between("ingress.replicas", c.Replicas, 1, 100),
		hostName("ingress.host", c.Host),
		objectName("ingress.tlsSecret", c.TLSSecret),
		objectName("ingress.clusterIssuer", c.ClusterIssuer),
		annotations("ingress.annotations", c.Annotations),
		OneOf("ingress.serviceType", c.ServiceType, "NodePort", "LoadBalancer", "ClusterIP"),
	)
	for name, key := range map[string]struct{ key, value string }{
		"kubernetes.io/ingress.class":    {"ingress.class", c.Class},
		"cert-manager.io/cluster-issuer": {"ingress.clusterIssuer", c.ClusterIssuer},
	} {
		if value, set := c.Annotations[name]; set && key.value != "" && value != key.value {
			faults = append(faults, Fault("ingress.annotations", "%s is %q, but %s is %q: leave the annotation out", name, value, key.key, key.value))
		}
	}
	if c.Controller == Nginx && c.API == GatewayAPI || c.Controller == Traefik && c.API == IngressAPI {
		faults = append(faults, Fault("ingress.api", "%q does not fit the controller %s: leave it out, or set ingress.controller to none",
			c.API, c.Controller))
	}
	if c.TLSSecret != "" && c.Host == "" {
		faults = append(faults, Fault("ingress.host", "is empty, but ingress.tlsSecret is set: set the host name that the certificate is for"))
	}
	if c.ClusterIssuer != "" && c.TLSSecret == "" {
		faults = append(faults, Fault("ingress.tlsSecret",
			"is empty, but ingress.clusterIssuer is set: set the name of the secret for its certificate"))
	}
	return faults
}
