package main

import (
	"path/filepath"
	"strings"
	"testing"

	program "shopstream/infra/internal/platform"
)

// throughAGateway has a stack that uses the Gateway API.
func throughAGateway(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.write(filepath.Join(m.root, "Pulumi.mine.yaml"), "config:\n  shopstream:cluster: {context: minikube}\n  shopstream:ingress: {controller: traefik}\n")
	return m
}

const gateways = "gateways.gateway.networking.k8s.io"

func kind(version, stack string) string {
	return gateways + " " + version + " " + stack + " gateway.networking.k8s.io\nothers.example.com <none> <none> example.com\n"
}

func TestUpInstallsTheGatewayAPIWhereThereIsNone(t *testing.T) {
	for name, test := range map[string]struct {
		kinds   string
		applied bool
		says    string
	}{
		"none":                   {kinds: "others.example.com <none> <none> example.com\n", applied: true, says: "Installing the Gateway API v1.6.1"},
		"its own, older":         {kinds: kind("v1.5.0", "shopstream/mine"), applied: true},
		"its own":                {kinds: kind("v1.6.1", "shopstream/mine")},
		"somebody else's":        {kinds: kind("v1.6.1", "<none>")},
		"somebody else's, older": {kinds: kind("v1.2.0", "<none>"), says: "WARNING: the cluster has the Gateway API v1.2.0"},
		"another stack's":        {kinds: kind("v1.6.1", "shopstream/dev")},
	} {
		t.Run(name, func(t *testing.T) {
			m := throughAGateway(t)
			m.set("kinds", test.kinds)
			m.platform("up", "STACK=mine").succeeds().says(test.says).did("pulumi up")
			applied := m.read("applied")
			if strings.Contains(applied, gateways) != test.applied || strings.Contains(applied, "ValidatingAdmissionPolicy") {
				t.Errorf("it applied %q", applied)
			}
			if test.applied && !strings.Contains(applied, `"shopstream/stack":"shopstream/mine"`) {
				t.Errorf("nobody can tell whose it is: %s", applied)
			}
		})
	}
}

// The kinds are no resources of the stack, so a preview asks first. It also tells a stack that had an Ingress of its removal.
func TestARefusedUpInstallsNoGatewayAPI(t *testing.T) {
	m := throughAGateway(t)
	m.set("pulumi-preview", "")
	m.set("progress", "Diagnostics:\n  error: "+program.Refused+":\n    kafka.storage: 2Gi → 1Gi: a volume can't shrink\n")
	m.platform("up", "STACK=mine").fails().says("a volume can't shrink", "nothing was changed").didNot("pulumi up")
	if applied := m.read("applied"); applied != "" {
		t.Errorf("it applied %q", applied)
	}
}

// The kinds are applied one after the other.
func TestUpCompletesAGatewayAPIThatWasInstalledInPart(t *testing.T) {
	m := throughAGateway(t)
	const routes = "httproutes.gateway.networking.k8s.io"
	m.set("gateway-api/config/crd/standard/httproutes.yaml",
		"kind: CustomResourceDefinition\nmetadata:\n  name: "+routes+"\n  annotations: {gateway.networking.k8s.io/bundle-version: v1.6.1}\n")
	m.set("kinds", kind("v1.6.1", "shopstream/mine"))
	m.platform("up", "STACK=mine").succeeds().says("Installing the Gateway API v1.6.1")
	if applied := m.read("applied"); !strings.Contains(applied, routes) {
		t.Errorf("it applied %q", applied)
	}
	m.set("kinds", kind("v1.6.1", "shopstream/mine")+routes+" v1.6.1 shopstream/mine gateway.networking.k8s.io\n")
	m.platform("up", "STACK=mine").succeeds().doesNotSay("Installing")
}

func TestUpNeedsNoGatewayAPIForAnIngress(t *testing.T) {
	newMachine(t).platform("up").succeeds().doesNotSay("Gateway API")
}

func TestDownRemovesOnlyItsOwnGatewayAPI(t *testing.T) {
	m := throughAGateway(t)
	m.set("kinds", kind("v1.6.1", "shopstream/mine"))
	m.platform("down", "STACK=mine").succeeds().did("delete customresourcedefinitions --wait=false " + gateways)
	m.set("routes", "gateway.gateway.networking.k8s.io/theirs\n")
	m.platform("down", "STACK=mine").succeeds().says("theirs").didNot("delete customresourcedefinitions")
	m.set("kinds", kind("v1.6.1", "<none>"))
	m.platform("down", "STACK=mine").succeeds().didNot("delete customresourcedefinitions")
}

func TestUpNamesTheIngressController(t *testing.T) {
	m := throughAGateway(t)
	m.platform("up").succeeds().says("archived in March 2026", "CVE-2026-42945", "CVE-2026-42533", "ingress.controller")
	m.platform("up", "STACK=mine").succeeds().doesNotSay("CVE")
}
