package config

import "testing"

func TestWhatFollowsFromTheController(t *testing.T) {
	for name, test := range map[string]struct {
		set  map[string]string
		want Ingress
	}{
		"minikube's":   {want: Ingress{Controller: Nginx, API: IngressAPI, Class: "nginx", Namespace: "ingress-nginx"}},
		"production's": {set: map[string]string{"profile": Production}, want: Ingress{Controller: Traefik, API: GatewayAPI, Class: "traefik", Namespace: "traefik"}},
		"another": {
			set:  map[string]string{"ingress": `{"controller": "traefik"}`},
			want: Ingress{Controller: Traefik, API: GatewayAPI, Class: "traefik", Namespace: "traefik"},
		},
		"another's names": {
			set:  map[string]string{"ingress": `{"controller": "traefik", "class": "front", "namespace": "door"}`},
			want: Ingress{Controller: Traefik, API: GatewayAPI, Class: "front", Namespace: "door"},
		},
		"the cluster's": {
			set:  map[string]string{"ingress": `{"controller": "none", "class": "haproxy", "namespace": "haproxy"}`},
			want: Ingress{Controller: NoController, API: IngressAPI, Class: "haproxy", Namespace: "haproxy"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, err := Load(test.set)
			if err != nil {
				t.Fatal(err)
			}
			got := Ingress{Controller: c.Ingress.Controller, API: c.Ingress.API, Class: c.Ingress.Class, Namespace: c.Ingress.Namespace}
			if got.Controller != test.want.Controller || got.API != test.want.API || got.Class != test.want.Class || got.Namespace != test.want.Namespace {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
