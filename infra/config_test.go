package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// values makes settings of plain pairs.
func values(pairs map[string]string) settings {
	return func(key string) (string, bool) {
		value, set := pairs[key]
		return value, set
	}
}

func TestEveryProfileIsValid(t *testing.T) {
	// What production can't guess.
	production := map[string]string{
		"images": `{"registry": "registry.example.com"}`, "ingress": `{"host": "shop.example.com", "tlsSecret": "shop"}`,
		"apiToken": "token",
	}
	for _, profile := range profiles() {
		t.Run(profile, func(t *testing.T) {
			pairs := map[string]string{}
			if profile == profileProduction {
				maps.Copy(pairs, production)
			}
			pairs["profile"] = profile
			c, secrets, err := load(values(pairs), slices.Collect(maps.Keys(pairs)))
			if err != nil {
				t.Fatal(err)
			}
			if err := validate(c, secrets, false); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSettingsAreLaidOverTheProfile(t *testing.T) {
	c, secrets, err := load(values(map[string]string{
		"profile":  "small",
		"logLevel": "debug",
		"kafka":    `{"heap": "512Mi", "storageClass": "fast"}`,
		"topics":   `{"orders": {"retention": "36h"}}`,
		"services": `{"producer": {"env": {"RATE": "100"}}}`,
		"apiToken": "secret",
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{
		c.LogLevel, c.Kafka.Heap.String(), c.Kafka.StorageClass, c.Kafka.Storage.String(),
		c.Topics.Orders.Retention.String(), c.Topics.Orders.Name, c.Services.Producer.Env["RATE"], secrets.APIToken,
	}
	want := []string{"debug", "512Mi", "fast", "2Gi", "36h", "orders", "100", "secret"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if c.Kafka.Brokers != 1 {
		t.Errorf("%d brokers, want the small profile's 1", c.Kafka.Brokers)
	}
}

// TestFaults gives one broken setting at a time, and wants to be told its key and what to do.
func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		set   map[string]string
		keys  []string
		wants []string
	}{
		"unknown profile":          {set: map[string]string{"profile": "huge"}, wants: []string{`"huge"`, "small, default, production"}},
		"misspelt key":             {keys: []string{"kafak"}, wants: []string{"kafak: there is no such key", "kafka"}},
		"misspelt nested key":      {set: map[string]string{"kafka": `{"broker": 3}`}, wants: []string{"kafka.broker: there is no such key", "brokers"}},
		"text for a number":        {set: map[string]string{"kafka": `{"brokers": "three"}`}, wants: []string{`kafka.brokers: "three" is no number`}},
		"a namespace for two":      {set: map[string]string{"addons": `{"kedaNamespace": "shop"}`}, wants: []string{`addons.kedaNamespace: "shop" is the namespace of the services`}},
		"addons in one namespace":  {set: map[string]string{"addons": `{"kedaNamespace": "x", "monitoringNamespace": "x"}`}, wants: []string{`addons.monitoringNamespace: "x" is the namespace of KEDA`}},
		"no name for a namespace":  {set: map[string]string{"ingress": `{"namespace": "Ingress"}`}, wants: []string{`ingress.namespace: "Ingress"`}},
		"no name for a class":      {set: map[string]string{"kafka": `{"storageClass": "Fast Disks"}`}, wants: []string{`kafka.storageClass: "Fast Disks"`}},
		"no host name":             {set: map[string]string{"ingress": `{"host": "https://shop"}`}, wants: []string{`ingress.host: "https://shop"`}},
		"a number in env":          {set: map[string]string{"services": `{"producer": {"env": {"RATE": 5}}}`}, wants: []string{"services.producer.env", "in quotes"}},
		"no name for a variable":   {set: map[string]string{"services": `{"producer": {"env": {"a b": "5"}}}`}, wants: []string{`services.producer.env: "a b"`}},
		"a variable that follows":  {set: map[string]string{"services": `{"api": {"env": {"HTTP_ADDR": ":1"}}}`}, wants: []string{"services.api.env: HTTP_ADDR follows"}},
		"a platform of old":        {set: map[string]string{"images": `{"platform": "linux/386"}`}, wants: []string{"set one of linux/amd64, linux/arm64, or nothing"}},
		"text for an object":       {set: map[string]string{"kafka": `3`}, wants: []string{"kafka: 3 is no object"}},
		"bad quantity":             {set: map[string]string{"kafka": `{"heap": "lots"}`}, wants: []string{"kafka.heap"}},
		"bad time span":            {set: map[string]string{"topics": `{"orders": {"retention": "a week"}}`}, wants: []string{"topics.orders.retention", `"168h"`}},
		"even quorum":              {set: map[string]string{"kafka": `{"brokers": 2}`}, wants: []string{"kafka: 2 brokers", "1, 3 or 5"}},
		"no brokers":               {set: map[string]string{"kafka": `{"brokers": 0}`}, wants: []string{"kafka: 0 brokers"}},
		"even controllers":         {set: map[string]string{"kafka": `{"controllers": 2}`}, wants: []string{"2 controllers"}},
		"large quorum":             {set: map[string]string{"kafka": `{"brokers": 7}`}, wants: []string{"more than 5"}},
		"heap too small":           {set: map[string]string{"kafka": `{"heap": "64Mi"}`}, wants: []string{"kafka.heap", "256Mi"}},
		"request over limit":       {set: map[string]string{"kafka": `{"cpu": "3", "cpuLimit": "1"}`}, wants: []string{"kafka.cpu: 3 is more than kafka.cpuLimit"}},
		"moving image":             {set: map[string]string{"kafka": `{"image": "apache/kafka:latest"}`}, wants: []string{"kafka.image", "not pinned"}},
		"image without a tag":      {set: map[string]string{"mongo": `{"image": "registry:5000/mongo"}`}, wants: []string{"mongo.image", "not pinned"}},
		"registry with scheme":     {set: map[string]string{"images": `{"registry": "https://example.com", "load": []}`}, wants: []string{"images.registry"}},
		"registry and load":        {set: map[string]string{"images": `{"registry": "example.com"}`}, wants: []string{"images.load"}},
		"platform":                 {set: map[string]string{"images": `{"platform": "windows"}`}, wants: []string{"images.platform", "linux/arm64"}},
		"registry password":        {set: map[string]string{"images": `{"registryUsername": "ci"}`}, wants: []string{"registryPassword", "config set --secret"}},
		"more pods than parts":     {set: map[string]string{"services": `{"consumer": {"max": 7}}`}, wants: []string{"services.consumer.max", `"orders"`, "6"}},
		"max under min":            {set: map[string]string{"services": `{"api": {"min": 6}}`}, wants: []string{"services.api.max: 5 is less"}},
		"scaled to zero":           {set: map[string]string{"services": `{"api": {"min": 0}}`}, wants: []string{"services.api.min"}},
		"no target":                {set: map[string]string{"services": `{"api": {"target": 0}}`}, wants: []string{"services.api.target"}},
		"topic twice":              {set: map[string]string{"topics": `{"orders": {"name": "purchases"}}`}, wants: []string{"topics.orders.name", "topics.purchases"}},
		"topic name":               {set: map[string]string{"topics": `{"orders": {"name": "or ders"}}`}, wants: []string{"topics.orders.name"}},
		"no partitions":            {set: map[string]string{"topics": `{"orders": {"partitions": 0}}`}, wants: []string{"topics.orders.partitions"}},
		"no retention":             {set: map[string]string{"topics": `{"orders": {"retention": "0h"}}`}, wants: []string{"topics.orders.retention"}},
		"retention when compacted": {set: map[string]string{"topics": `{"productTotals": {"retention": "1h"}}`}, wants: []string{"topics.productTotals.retention"}},
		"two members":              {set: map[string]string{"mongo": `{"members": 2}`}, wants: []string{"mongo.members", "1 or 3"}},
		"external without uri":     {set: map[string]string{"mongo": `{"external": true, "externalAddresses": ["10.0.0.0/8"]}`}, wants: []string{"mongoUri: is not set"}},
		"external without address": {set: map[string]string{"mongo": `{"external": true}`, "mongoUri": "mongodb://db"}, wants: []string{"mongo.externalAddresses"}},
		"address that is none":     {set: map[string]string{"mongo": `{"external": true, "externalAddresses": ["db"]}`, "mongoUri": "mongodb://db"}, wants: []string{`"db" is no CIDR block`}},
		"uri that is none":         {set: map[string]string{"mongo": `{"external": true, "externalAddresses": ["10.0.0.0/8"]}`, "mongoUri": "db"}, wants: []string{"mongoUri", "mongodb+srv://"}},
		"uri without external":     {set: map[string]string{"mongoUri": "mongodb://db"}, wants: []string{"mongoUri", "mongo.external"}},
		"weak password":            {set: map[string]string{"mongoPassword": "a@b"}, wants: []string{"mongoPassword"}},
		"mongo memory":             {set: map[string]string{"mongo": `{"memory": "64Mi"}`}, wants: []string{"mongo.memory"}},
		"certificate without host": {set: map[string]string{"ingress": `{"tlsSecret": "shop"}`}, wants: []string{"ingress.host"}},
		"issuer without secret":    {set: map[string]string{"ingress": `{"clusterIssuer": "letsencrypt"}`}, wants: []string{"ingress.tlsSecret"}},
		"service type":             {set: map[string]string{"ingress": `{"serviceType": "Magic"}`}, wants: []string{"ingress.serviceType"}},
		"charts from two places":   {set: map[string]string{"addons": `{"repository": "https://x", "folder": "charts"}`}, wants: []string{"addons.folder"}},
		"values of no chart":       {set: map[string]string{"addons": `{"values": {"kda": {}}}`}, wants: []string{"addons.values", "keda"}},
		"half a certificate":       {set: map[string]string{"kafka": `{"secure": true}`, "kafkaCertificate": "x"}, wants: []string{"kafkaCertificate", "kafkaAuthority"}},
		"certificate unused":       {set: map[string]string{"kafkaCertificate": "x", "kafkaAuthority": "y"}, wants: []string{"kafkaCertificate", "kafka.secure"}},
		"passwords unused":         {set: map[string]string{"kafkaPasswords": "{}"}, wants: []string{"kafkaPasswords", "kafka.secure"}},
		"passwords that are none":  {set: map[string]string{"kafka": `{"secure": true}`, "kafkaPasswords": "secret"}, wants: []string{"kafkaPasswords: is no JSON object"}},
		"passwords of nobody":      {set: map[string]string{"kafka": `{"secure": true}`, "kafkaPasswords": `{"shop": "0123456789abcdef", "api": "a\"b"}`}, wants: []string{`"shop": set one of`, `that of "api"`}},
		"log level":                {set: map[string]string{"logLevel": "loud"}, wants: []string{"logLevel", "debug"}},
		"ports":                    {set: map[string]string{"cluster": `{"apiServerPorts": [0]}`}, wants: []string{"cluster.apiServerPorts"}},
		"no ports":                 {set: map[string]string{"cluster": `{"apiServerPorts": []}`}, wants: []string{"cluster.apiServerPorts"}},
		"name servers":             {set: map[string]string{"cluster": `{"dnsAddresses": ["x"]}`}, wants: []string{"cluster.dnsAddresses"}},
		"no nodes":                 {set: map[string]string{"cluster": `{"nodes": 0}`}, wants: []string{"cluster.nodes"}},
		"too little memory":        {set: map[string]string{"cluster": `{"nodeMemory": "3Gi"}`}, wants: []string{"cluster.nodeMemory", "asks for", `"small"`}},
		"too few CPUs":             {set: map[string]string{"cluster": `{"nodeCpu": "1"}`}, wants: []string{"cluster.nodeCpu"}},
		"pod bigger than a node":   {set: map[string]string{"cluster": `{"nodes": 20, "nodeMemory": "1Gi"}`, "mongo": `{"memory": "2Gi"}`}, wants: []string{"one pod of mongodb needs 2Gi"}},
		"production": {
			set: map[string]string{"profile": "production", "kafka": `{"brokers": 1, "secure": false}`, "mongo": `{"members": 1}`, "cluster": `{"nodes": 1}`},
			wants: []string{
				"images.registry", "ingress.host", "ingress.tlsSecret", "cluster.nodes", "kafka.brokers", "kafka.secure", "mongo.members", "apiToken",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, secrets, err := load(values(test.set), test.keys)
			if err == nil {
				err = validate(c, secrets, false)
			}
			if err == nil {
				t.Fatal("no fault was found")
			}
			for _, want := range test.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the faults do not say %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestAllFaultsAreToldAtOnce(t *testing.T) {
	_, _, err := load(values(map[string]string{
		"kafka": `{"broker": 1, "heap": "x"}`, "mongo": `[]`,
	}), []string{"kafka", "nonsense"})
	for _, want := range []string{"kafka.broker", "kafka.heap", "mongo", "nonsense"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the faults do not name %s: %v", want, err)
		}
	}
}

func TestSetKeysReadsWhatPulumiHandsOver(t *testing.T) {
	encoded, err := json.Marshal(map[string]string{"shopstream:kafka": "{}", "shopstream:profile": "small", "kubernetes:context": "x"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := setKeys(string(encoded), project), []string{"kafka", "profile"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := setKeys("", project); got != nil {
		t.Errorf("got %q of nothing", got)
	}
}

func TestPreviewToleratesMissingSecretsOnly(t *testing.T) {
	c, secrets, err := load(values(map[string]string{
		"profile": "production", "images": `{"registry": "r", "registryUsername": "ci"}`,
		"ingress": `{"host": "h", "tlsSecret": "s"}`, "mongo": `{"external": true, "externalAddresses": ["10.0.0.0/8"]}`,
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(c, secrets, true); err != nil {
		t.Errorf("a preview asks for secrets: %v", err)
	}
	err = validate(c, secrets, false)
	for _, want := range []string{"apiToken", "mongoUri", "registryPassword"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("up does not ask for %s: %v", want, err)
		}
	}
}
