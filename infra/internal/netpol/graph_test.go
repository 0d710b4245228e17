package netpol

import (
	"reflect"
	"testing"
)

func TestPolicies(t *testing.T) {
	a := Peer{Name: "a", Namespace: "in", Labels: map[string]string{"app": "a"}}
	b := Peer{Name: "b", Namespace: "in", Labels: map[string]string{"app": "b"}}
	other := Peer{Name: "other", Namespace: "elsewhere", Labels: map[string]string{"app": "other"}}
	world := Peer{Name: "world"}

	for name, test := range map[string]struct {
		calls []Call
		want  []Policy
	}{
		"both halves": {
			calls: []Call{{From: a, To: b, Ports: TCP(1)}},
			want: []Policy{
				{Name: "a", Namespace: "in", Labels: a.Labels, Egress: []Rule{{Peer: b, Ports: TCP(1)}}},
				{Name: "b", Namespace: "in", Labels: b.Labels, Ingress: []Rule{{Peer: a, Ports: TCP(1)}}},
			},
		},
		"only the half that is ours": {
			calls: []Call{{From: other, To: a, Ports: TCP(2)}, {From: a, To: world, Ports: TCP(3)}},
			want: []Policy{{
				Name: "a", Namespace: "in", Labels: a.Labels,
				Ingress: []Rule{{Peer: other, Ports: TCP(2)}}, Egress: []Rule{{Peer: world, Ports: TCP(3)}},
			}},
		},
		"among themselves": {
			calls: []Call{{From: a, To: a, Ports: TCP(4, 5)}},
			want: []Policy{{
				Name: "a", Namespace: "in", Labels: a.Labels,
				Ingress: []Rule{{Peer: a, Ports: TCP(4, 5)}}, Egress: []Rule{{Peer: a, Ports: TCP(4, 5)}},
			}},
		},
		"nothing of ours": {calls: []Call{{From: other, To: world, Ports: TCP(6)}}, want: []Policy{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Graph{Closed: []string{"in"}, Calls: test.calls}.Policies()
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
