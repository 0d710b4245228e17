package ingress

import (
	"bytes"
	"encoding/json"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// as decodes a spec into the API's type, and refuses unknown fields.
func as[T any](t *testing.T, spec map[string]any) T {
	t.Helper()
	encoded, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var typed T
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&typed); err != nil {
		t.Fatalf("%s: %v", encoded, err)
	}
	return typed
}

func args(change func(*Args)) *Args {
	a := &Args{
		Class: "front", Listeners: Listeners{HTTP: 8000, HTTPS: 8443},
		Routes: []Route{
			{Path: "/", Service: "shop", Port: 1, Exact: true}, {Path: "/messages", Service: "api", Port: 2}, {Path: "/buy", Service: "shop", Port: 1},
		},
	}
	change(a)
	return a
}

func withTLS(a *Args) { a.Host, a.TLSSecret = "shop.example.com", "shop-tls" }

func TestGatewayListensToHTTPSIfThereIsACertificate(t *testing.T) {
	plain := as[gatewayv1.GatewaySpec](t, gatewaySpec(args(func(*Args) {})))
	if l := plain.Listeners; len(l) != 1 || l[0].Protocol != gatewayv1.HTTPProtocolType || l[0].Port != 8000 || l[0].Hostname != nil {
		t.Errorf("without one it listens to %+v", l)
	}
	secure := as[gatewayv1.GatewaySpec](t, gatewaySpec(args(withTLS)))
	if secure.GatewayClassName != "front" || len(secure.Listeners) != 2 {
		t.Fatalf("with one it is %+v", secure)
	}
	l := secure.Listeners[1]
	if l.Protocol != gatewayv1.HTTPSProtocolType || l.Port != 8443 || *l.Hostname != "shop.example.com" ||
		*l.TLS.Mode != gatewayv1.TLSModeTerminate || l.TLS.CertificateRefs[0].Name != "shop-tls" {
		t.Errorf("it listens to %+v", l)
	}
}

func TestRoutesHaveOneRuleForEachService(t *testing.T) {
	spec := as[gatewayv1.HTTPRouteSpec](t, routeSpec("door", args(func(*Args) {})))
	if len(spec.Rules) != 2 || len(spec.Rules[0].Matches) != 2 || len(spec.Hostnames) != 0 || *spec.ParentRefs[0].SectionName != "http" {
		t.Fatalf("the route is %+v", spec)
	}
	shop := spec.Rules[0]
	if *shop.Matches[0].Path.Type != gatewayv1.PathMatchExact || *shop.Matches[1].Path.Type != gatewayv1.PathMatchPathPrefix ||
		*shop.Matches[1].Path.Value != "/buy" || shop.BackendRefs[0].Name != "shop" || *shop.BackendRefs[0].Port != 1 || len(shop.Filters) != 0 {
		t.Errorf("the rule is %+v", shop)
	}
}

func TestRequestsWithoutTLSAreRedirected(t *testing.T) {
	spec := as[gatewayv1.HTTPRouteSpec](t, redirectSpec("door", args(withTLS)))
	redirect := spec.Rules[0].Filters[0].RequestRedirect
	if *spec.ParentRefs[0].SectionName != "http" || *redirect.Scheme != "https" || *redirect.StatusCode != 308 || spec.Hostnames[0] != "shop.example.com" {
		t.Errorf("the redirect is %+v", spec)
	}
	served := as[gatewayv1.HTTPRouteSpec](t, routeSpec("door", args(withTLS)))
	if *served.ParentRefs[0].SectionName != "https" {
		t.Errorf("the routes are on %q", *served.ParentRefs[0].SectionName)
	}
	for _, rule := range served.Rules {
		if h := rule.Filters[0].ResponseHeaderModifier.Set[0]; h.Name != "Strict-Transport-Security" || h.Value != strictTransport {
			t.Errorf("the header is %+v", h)
		}
	}
}
