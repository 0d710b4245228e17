package plan

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"shopstream/infra/internal/config"
)

func TestEveryProfileIsValid(t *testing.T) {
	// Settings that production requires.
	production := map[string]string{
		"images": `{"registry": "registry.example.com"}`, "ingress": `{"host": "shop.example.com", "tlsSecret": "shop"}`,
		"apiToken": "token",
	}
	for _, profile := range config.Profiles() {
		t.Run(profile, func(t *testing.T) {
			pairs := map[string]string{}
			if profile == config.Production {
				maps.Copy(pairs, production)
			}
			pairs["profile"] = profile
			c, secrets, err := config.Load(pairs)
			if err != nil {
				t.Fatal(err)
			}
			if err := Check(c, secrets, false); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFaults sets one invalid setting at a time, and expects its key and the fix in the error.
func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		set   map[string]string
		wants []string
	}{
		"unknown profile":           {set: map[string]string{"profile": "huge"}, wants: []string{`"huge"`, "small, default, production"}},
		"misspelt key":              {set: map[string]string{"kafak": "{}"}, wants: []string{"kafak: there is no such key", "kafka"}},
		"misspelt nested key":       {set: map[string]string{"kafka": `{"broker": 3}`}, wants: []string{"kafka.broker: there is no such key", "brokers"}},
		"key set twice":             {set: map[string]string{"kafka": `{"brokers": 1, "heap": "1Gi", "brokers": 3}`}, wants: []string{"kafka.brokers: it is set more than once"}},
		"label set twice":           {set: map[string]string{"ingress": `{"annotations": {"a": "1", "a": "2"}}`}, wants: []string{"ingress.annotations.a: it is set more than once"}},
		"text for a number":         {set: map[string]string{"kafka": `{"brokers": "three"}`}, wants: []string{`kafka.brokers: "three" is not of type number`}},
		"a namespace for two":       {set: map[string]string{"addons": `{"kedaNamespace": "shop"}`}, wants: []string{`addons.kedaNamespace: "shop" is the namespace of the services`}},
		"addons in one namespace":   {set: map[string]string{"addons": `{"kedaNamespace": "x", "monitoringNamespace": "x"}`}, wants: []string{`addons.monitoringNamespace: "x" is the namespace of KEDA`}},
		"no name for a namespace":   {set: map[string]string{"ingress": `{"namespace": "Ingress"}`}, wants: []string{`ingress.namespace: "Ingress"`}},
		"no name for a class":       {set: map[string]string{"kafka": `{"storageClass": "Fast Disks"}`}, wants: []string{`kafka.storageClass: "Fast Disks"`}},
		"no host name":              {set: map[string]string{"ingress": `{"host": "https://shop"}`}, wants: []string{`ingress.host: "https://shop"`}},
		"a number in env":           {set: map[string]string{"services": `{"producer": {"env": {"RATE": 5}}}`}, wants: []string{"services.producer.env", "in quotes"}},
		"no name for a variable":    {set: map[string]string{"services": `{"producer": {"env": {"a b": "5"}}}`}, wants: []string{`services.producer.env: "a b"`}},
		"a variable that follows":   {set: map[string]string{"services": `{"api": {"env": {"HTTP_ADDR": ":1"}}}`}, wants: []string{"services.api.env: HTTP_ADDR follows"}},
		"a platform of old":         {set: map[string]string{"images": `{"platform": "linux/386"}`}, wants: []string{"set one of linux/amd64, linux/arm64, or nothing"}},
		"text for an object":        {set: map[string]string{"kafka": `3`}, wants: []string{"kafka: 3 is not an object"}},
		"bad quantity":              {set: map[string]string{"kafka": `{"heap": "lots"}`}, wants: []string{"kafka.heap"}},
		"bad time span":             {set: map[string]string{"topics": `{"orders": {"retention": "a week"}}`}, wants: []string{"topics.orders.retention", `"168h"`}},
		"even quorum":               {set: map[string]string{"kafka": `{"voters": 2}`}, wants: []string{"kafka: 2 controllers", "1, 3 or 5"}},
		"no brokers":                {set: map[string]string{"kafka": `{"brokers": 0}`}, wants: []string{"kafka: 0 brokers"}},
		"even controllers":          {set: map[string]string{"kafka": `{"controllers": 2}`}, wants: []string{"2 controllers"}},
		"large quorum":              {set: map[string]string{"kafka": `{"brokers": 7, "voters": 7}`}, wants: []string{"kafka.voters: 7"}},
		"heap too small":            {set: map[string]string{"kafka": `{"heap": "64Mi"}`}, wants: []string{"kafka.heap", "256Mi"}},
		"request over limit":        {set: map[string]string{"kafka": `{"cpu": "3", "cpuLimit": "1"}`}, wants: []string{"kafka.cpu: 3 is more than kafka.cpuLimit"}},
		"moving image":              {set: map[string]string{"kafka": `{"image": "apache/kafka:latest"}`}, wants: []string{"kafka.image", "not pinned"}},
		"image without a tag":       {set: map[string]string{"mongo": `{"image": "registry:5000/mongo"}`}, wants: []string{"mongo.image", "not pinned"}},
		"registry with scheme":      {set: map[string]string{"images": `{"registry": "https://example.com", "load": []}`}, wants: []string{"images.registry"}},
		"registry and load":         {set: map[string]string{"images": `{"registry": "example.com"}`}, wants: []string{"images.load"}},
		"platform":                  {set: map[string]string{"images": `{"platform": "windows"}`}, wants: []string{"images.platform", "linux/arm64"}},
		"registry password":         {set: map[string]string{"images": `{"registryUsername": "ci"}`}, wants: []string{"registryPassword", "config set --secret"}},
		"more pods than parts":      {set: map[string]string{"services": `{"consumer": {"max": 25}}`}, wants: []string{"services.consumer.max", `"orders"`, "24"}},
		"max under min":             {set: map[string]string{"services": `{"api": {"min": 6}}`}, wants: []string{"services.api.max: 5 is less"}},
		"scaled to zero":            {set: map[string]string{"services": `{"api": {"min": 0}}`}, wants: []string{"services.api.min"}},
		"no target":                 {set: map[string]string{"services": `{"api": {"target": 0}}`}, wants: []string{"services.api.target"}},
		"topic twice":               {set: map[string]string{"topics": `{"orders": {"name": "purchases"}}`}, wants: []string{"topics.orders.name", "topics.purchases"}},
		"topic name":                {set: map[string]string{"topics": `{"orders": {"name": "or ders"}}`}, wants: []string{"topics.orders.name"}},
		"no partitions":             {set: map[string]string{"topics": `{"orders": {"partitions": 0}}`}, wants: []string{"topics.orders.partitions"}},
		"no retention":              {set: map[string]string{"topics": `{"orders": {"retention": "0h"}}`}, wants: []string{"topics.orders.retention"}},
		"retention when compacted":  {set: map[string]string{"topics": `{"productTotals": {"retention": "1h"}}`}, wants: []string{"topics.productTotals.retention"}},
		"two members":               {set: map[string]string{"mongo": `{"members": 2}`}, wants: []string{"mongo.members", "1 or 3"}},
		"external without uri":      {set: map[string]string{"mongo": `{"external": true, "externalAddresses": ["10.0.0.0/8"]}`}, wants: []string{"mongoUri: is not set"}},
		"external without address":  {set: map[string]string{"mongo": `{"external": true}`, "mongoUri": "mongodb://db"}, wants: []string{"mongo.externalAddresses"}},
		"address that is none":      {set: map[string]string{"mongo": `{"external": true, "externalAddresses": ["db"]}`, "mongoUri": "mongodb://db"}, wants: []string{`"db" is not a CIDR block`}},
		"uri that is none":          {set: map[string]string{"mongo": `{"external": true, "externalAddresses": ["10.0.0.0/8"]}`, "mongoUri": "db"}, wants: []string{"mongoUri", "mongodb+srv://"}},
		"uri without external":      {set: map[string]string{"mongoUri": "mongodb://db"}, wants: []string{"mongoUri", "mongo.external"}},
		"no broker's address":       {set: map[string]string{"kafka": `{"external": {"bootstrapServers": ["sasl://b-1:9096", "b-2", "b-3:0"], "namespace": "kafka"}}`}, wants: []string{`"sasl://b-1:9096" is not the address of a broker`, `"b-2" is not`, `"b-3:0" is not`}},
		"no blocks of brokers":      {set: map[string]string{"kafka": `{"external": {"bootstrapServers": ["b:9092"]}}`}, wants: []string{"kafka.external.addresses: is empty"}},
		"brokers' block":            {set: map[string]string{"kafka": `{"external": {"bootstrapServers": ["b:9092"], "addresses": ["10.0.0.7/8"], "ports": [0]}}`}, wants: []string{"kafka.external.addresses", "10.0.0.0/8", "kafka.external.ports: 0"}},
		"brokers in the shop":       {set: map[string]string{"kafka": `{"external": {"bootstrapServers": ["b:9092"], "namespace": "shop"}}`}, wants: []string{`kafka.external.namespace: "shop" is created by the stack`}},
		"brokers of two":            {set: map[string]string{"kafka": `{"brokers": 3, "storage": "5Gi", "external": {"bootstrapServers": ["b:9092"], "namespace": "kafka"}}`}, wants: []string{"kafka.brokers: is set, but kafka.external is too", "kafka.storage: is set"}},
		"a database of two":         {set: map[string]string{"mongo": `{"external": true, "members": 3, "externalAddresses": ["10.0.0.0/8"]}`, "mongoUri": "mongodb://db"}, wants: []string{"mongo.members: is set, but mongo.external is too"}},
		"external without brokers":  {set: map[string]string{"kafka": `{"external": {"sasl": "PLAIN"}}`}, wants: []string{"kafka.external.bootstrapServers: is empty"}},
		"mechanism":                 {set: map[string]string{"kafka": `{"external": {"bootstrapServers": ["b:9092"], "namespace": "kafka", "sasl": "GSSAPI"}}`}, wants: []string{`kafka.external.sasl: "GSSAPI": set one of PLAIN`}},
		"plain in the open":         {set: map[string]string{"kafka": `{"external": {"bootstrapServers": ["b:9092"], "namespace": "kafka", "sasl": "PLAIN", "tls": false}}`}, wants: []string{"kafka.external.sasl: PLAIN sends the password", "kafkaCredentials: is not set"}},
		"authority":                 {set: map[string]string{"kafka": `{"external": {"bootstrapServers": ["b:9092"], "namespace": "kafka", "tls": false, "authority": "x"}}`}, wants: []string{"kafka.external.authority: is not a certificate", "kafka.external.authority: is set, but kafka.external.tls is not"}},
		"credentials for nobody":    {set: map[string]string{"kafkaCredentials": "{}"}, wants: []string{"kafkaCredentials: is set, but kafka.external is not"}},
		"credentials unused":        {set: map[string]string{"kafka": `{"external": {"bootstrapServers": ["b:9092"], "namespace": "kafka"}}`, "kafkaCredentials": "{}", "kafkaPasswords": "{}"}, wants: []string{"kafkaCredentials: is set, but kafka.external.sasl is not", "kafkaPasswords: is set, but kafka.external is too"}},
		"credentials that are none": {set: map[string]string{"kafka": scram, "kafkaCredentials": "secret"}, wants: []string{"kafkaCredentials: is not a JSON object"}},
		"credentials of some":       {set: map[string]string{"kafka": scram, "kafkaCredentials": `{"shop": {"username": "a", "password": " b"}}`}, wants: []string{`"shop": set one of default, web-server`, `"shop" needs a username and a password`, "has no user for topics", "has no user for keda"}},
		"weak password":             {set: map[string]string{"mongoPassword": "a@b"}, wants: []string{"mongoPassword"}},
		"mongo memory":              {set: map[string]string{"mongo": `{"memory": "64Mi"}`}, wants: []string{"mongo.memory"}},
		"a controller of nobody":    {set: map[string]string{"ingress": `{"controller": "caddy"}`}, wants: []string{`ingress.controller: "caddy"`}},
		"an API of another":         {set: map[string]string{"ingress": `{"controller": "traefik", "api": "ingress"}`}, wants: []string{"ingress.api", "traefik"}},
		"the cluster's controller":  {set: map[string]string{"ingress": `{"controller": "none"}`}, wants: []string{"ingress.class", "ingress.namespace"}},
		"one pod in production":     {set: map[string]string{"profile": "production", "ingress": `{"replicas": 1}`}, wants: []string{"ingress.replicas"}},
		"no pods":                   {set: map[string]string{"ingress": `{"replicas": 0}`}, wants: []string{"ingress.replicas"}},
		"certificate without host":  {set: map[string]string{"ingress": `{"tlsSecret": "shop"}`}, wants: []string{"ingress.host"}},
		"issuer without secret":     {set: map[string]string{"ingress": `{"clusterIssuer": "letsencrypt"}`}, wants: []string{"ingress.tlsSecret"}},
		"service type":              {set: map[string]string{"ingress": `{"serviceType": "Magic"}`}, wants: []string{"ingress.serviceType"}},
		"charts from two places":    {set: map[string]string{"addons": `{"repository": "https://x", "folder": "charts"}`}, wants: []string{"addons.folder"}},
		"runbooks of no address":    {set: map[string]string{"addons": `{"runbooks": "docs"}`}, wants: []string{"addons.runbooks"}},
		"values of no chart":        {set: map[string]string{"addons": `{"values": {"kda": {}}}`}, wants: []string{"addons.values", "keda"}},
		"half a certificate":        {set: map[string]string{"kafka": `{"secure": true}`, "kafkaCertificate": "x"}, wants: []string{"kafkaCertificate", "kafkaAuthority"}},
		"certificate unused":        {set: map[string]string{"kafkaCertificate": "x", "kafkaAuthority": "y"}, wants: []string{"kafkaCertificate", "kafka.secure"}},
		"passwords unused":          {set: map[string]string{"kafkaPasswords": "{}"}, wants: []string{"kafkaPasswords", "kafka.secure"}},
		"passwords that are none":   {set: map[string]string{"kafka": `{"secure": true}`, "kafkaPasswords": "secret"}, wants: []string{"kafkaPasswords: is not a JSON object"}},
		"passwords of nobody":       {set: map[string]string{"kafka": `{"secure": true}`, "kafkaPasswords": `{"shop": "0123456789abcdef", "api": "a\"b"}`}, wants: []string{`"shop": set one of`, `that of "api"`}},
		"no collector's address":    {set: map[string]string{"tracing": `{"endpoint": "collector:4318", "namespace": "tracing"}`}, wants: []string{`tracing.endpoint: "collector:4318"`, "http://"}},
		"collector with a password": {set: map[string]string{"tracing": `{"endpoint": "http://u:p@c:4318", "namespace": "tracing"}`}, wants: []string{"tracing.endpoint: must have no user"}},
		"collector nowhere":         {set: map[string]string{"tracing": `{"endpoint": "http://c:4318"}`}, wants: []string{"tracing.namespace: is empty"}},
		"collector at two places":   {set: map[string]string{"tracing": `{"endpoint": "http://c:4318", "namespace": "tracing", "addresses": ["10.0.0.0/8"]}`}, wants: []string{"tracing.addresses: is set"}},
		"place of no collector":     {set: map[string]string{"tracing": `{"addresses": ["10.0.0.7/8"]}`}, wants: []string{"tracing.endpoint: is empty", "10.0.0.0/8"}},
		"collector in the shop":     {set: map[string]string{"tracing": `{"endpoint": "http://c:4318", "namespace": "shop"}`}, wants: []string{`tracing.namespace: "shop" is created by the stack`}},
		"more than all traces":      {set: map[string]string{"tracing": `{"sampling": 101}`}, wants: []string{"tracing.sampling: 101"}},
		"log level":                 {set: map[string]string{"logLevel": "loud"}, wants: []string{"logLevel", "debug"}},
		"ports":                     {set: map[string]string{"cluster": `{"apiServerPorts": [0]}`}, wants: []string{"cluster.apiServerPorts"}},
		"no ports":                  {set: map[string]string{"cluster": `{"apiServerPorts": []}`}, wants: []string{"cluster.apiServerPorts"}},
		"name servers":              {set: map[string]string{"cluster": `{"dnsAddresses": ["x"]}`}, wants: []string{"cluster.dnsAddresses"}},
		"no nodes":                  {set: map[string]string{"cluster": `{"nodes": 0}`}, wants: []string{"cluster.nodes"}},
		"too little memory":         {set: map[string]string{"cluster": `{"nodeMemory": "3Gi"}`}, wants: []string{"cluster.nodeMemory", "requests", `"small"`}},
		"too few CPUs":              {set: map[string]string{"cluster": `{"nodeCpu": "1"}`}, wants: []string{"cluster.nodeCpu"}},
		"pod bigger than a node":    {set: map[string]string{"cluster": `{"nodes": 20, "nodeMemory": "1Gi"}`, "mongo": `{"memory": "2Gi"}`}, wants: []string{"a pod of mongodb requests 2Gi"}},
		"registry in capitals":      {set: map[string]string{"images": `{"registry": "Registry.example.com/Team", "load": []}`}, wants: []string{"images.registry", "lower case"}},
		"registry with a tag":       {set: map[string]string{"images": `{"registry": "example.com/team:1", "load": []}`}, wants: []string{"images.registry"}},
		"image that is none":        {set: map[string]string{"kafka": `{"image": "Apache/Kafka:4.3.1"}`}, wants: []string{"kafka.image"}},
		"docker's address":          {set: map[string]string{"images": `{"dockerHost": "builder"}`}, wants: []string{"images.dockerHost"}},
		"an address as host":        {set: map[string]string{"ingress": `{"host": "192.0.2.7"}`}, wants: []string{"ingress.host", "is an address"}},
		"annotation":                {set: map[string]string{"ingress": `{"annotations": {"a b": "c"}}`}, wants: []string{"ingress.annotations"}},
		"issuer":                    {set: map[string]string{"ingress": `{"clusterIssuer": "Lets Encrypt"}`}, wants: []string{"ingress.clusterIssuer"}},
		"domain":                    {set: map[string]string{"cluster": `{"domain": "Cluster_local"}`}, wants: []string{"cluster.domain"}},
		"address in a block":        {set: map[string]string{"cluster": `{"dnsAddresses": ["10.0.0.7/8"]}`}, wants: []string{"cluster.dnsAddresses", "10.0.0.0/8", "10.0.0.7/32"}},
		"more nodes than there are": {set: map[string]string{"cluster": `{"nodes": 1000000000}`}, wants: []string{"cluster.nodes"}},
		"topics of one metric":      {set: map[string]string{"topics": `{"orders": {"name": "purchases_dlq"}}`}, wants: []string{"topics.orders.name", "the same name in metrics"}},
		"topic of Kafka's own":      {set: map[string]string{"topics": `{"orders": {"name": "__consumer_offsets"}}`}, wants: []string{"topics.orders.name", "Kafka's own"}},
		"topic that is a folder":    {set: map[string]string{"topics": `{"orders": {"name": ".."}}`}, wants: []string{"topics.orders.name"}},
		"too many partitions":       {set: map[string]string{"topics": `{"orders": {"partitions": 10001}}`}, wants: []string{"topics.orders.partitions"}},
		"retention below a ms":      {set: map[string]string{"topics": `{"orders": {"retention": "10us"}}`}, wants: []string{"topics.orders.retention"}},
		"database name":             {set: map[string]string{"mongo": `{"database": "my.shop"}`}, wants: []string{"mongo.database"}},
		"database of Mongo's own":   {set: map[string]string{"mongo": `{"database": "Admin"}`}, wants: []string{"mongo.database"}},
		"schedule that never comes": {set: map[string]string{"mongo": `{"backup": {"schedule": "99 2 * * *"}}`}, wants: []string{`mongo.backup.schedule: "99 2 * * *" is not a schedule`}},
		"a schedule in words":       {set: map[string]string{"mongo": `{"backup": {"schedule": "30 2 * * *", "drill": "weekly"}}`}, wants: []string{`mongo.backup.drill: "weekly" is not a schedule`}},
		"a schedule elsewhere":      {set: map[string]string{"mongo": `{"backup": {"schedule": "TZ=Europe/Paris"}}`}, wants: []string{"mongo.backup.schedule"}},
		"half a millicore":          {set: map[string]string{"kafka": `{"cpuLimit": "2000500u"}`}, wants: []string{"kafka.cpuLimit: 2000500u is not a whole number of millicores"}},
		"more CPUs than a node":     {set: map[string]string{"cluster": `{"nodes": 20}`, "kafka": `{"cpu": "5", "cpuLimit": "8"}`}, wants: []string{"cluster.nodeCpu: a pod of kafka brokers requests 5010m"}},
		"half a byte":               {set: map[string]string{"mongo": `{"storage": "1500m"}`}, wants: []string{"mongo.storage", "whole number of bytes"}},
		"uri not escaped":           {set: map[string]string{"mongo": `{"external": true, "externalAddresses": ["10.0.0.0/8"]}`, "mongoUri": "mongodb://u:p%zz@h/"}, wants: []string{"mongoUri: is not a connection string"}},
		"srv with a port":           {set: map[string]string{"mongo": `{"external": true, "externalAddresses": ["10.0.0.0/8"]}`, "mongoUri": "mongodb+srv://h:27017/"}, wants: []string{"mongoUri", "names a port"}},
		"chart repository":          {set: map[string]string{"addons": `{"repository": "charts.example.com"}`}, wants: []string{"addons.repository"}},
		"a repository without host": {set: map[string]string{"addons": `{"repository": "https:///charts"}`}, wants: []string{"addons.repository", "no host"}},
		"docker without a host":     {set: map[string]string{"images": `{"dockerHost": "tcp://:2375"}`}, wants: []string{"images.dockerHost", "no host"}},
		"docker's port":             {set: map[string]string{"images": `{"dockerHost": "tcp://[::1]:99999"}`}, wants: []string{"images.dockerHost", "port"}},
		"docker without a socket":   {set: map[string]string{"images": `{"dockerHost": "unix://docker"}`}, wants: []string{"images.dockerHost", "no socket"}},
		"token":                     {set: map[string]string{"apiToken": "a b"}, wants: []string{"apiToken"}},
		"kube-system":               {set: map[string]string{"addons": `{"monitoringNamespace": "kube-system"}`}, wants: []string{`addons.monitoringNamespace: "kube-system" belongs to Kubernetes`}},
		"default":                   {set: map[string]string{"ingress": `{"namespace": "default"}`}, wants: []string{"ingress.namespace"}},
		"one round for both":        {set: map[string]string{"kafka": `{"broker": 1}`, "logLevel": "loud"}, wants: []string{"kafka.broker", "logLevel"}},
		"unknown profile and rest":  {set: map[string]string{"profile": "huge", "logLevel": "loud"}, wants: []string{`"huge"`, "logLevel"}},
		"production": {
			set: map[string]string{"profile": "production", "kafka": `{"brokers": 1, "secure": false}`, "mongo": `{"members": 1}`, "cluster": `{"nodes": 1}`},
			wants: []string{
				"images.registry", "ingress.host", "ingress.tlsSecret", "cluster.nodes", "kafka.brokers", "kafka.secure", "mongo.members", "apiToken",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, secrets, err := config.Load(test.set)
			err = errors.Join(err, Check(c, secrets, false))
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

func TestPreviewToleratesMissingSecretsOnly(t *testing.T) {
	c, secrets, err := config.Load(map[string]string{
		"profile": "production", "images": `{"registry": "r", "registryUsername": "ci"}`,
		"ingress": `{"host": "h", "tlsSecret": "s"}`, "mongo": `{"external": true, "externalAddresses": ["10.0.0.0/8"]}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(c, secrets, true); err != nil {
		t.Errorf("a preview asks for secrets: %v", err)
	}
	err = Check(c, secrets, false)
	for _, want := range []string{"apiToken", "mongoUri", "registryPassword"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("up does not ask for %s: %v", want, err)
		}
	}
}

// scram is an external Kafka that requires credentials.
const scram = `{"external": {"bootstrapServers": ["b:9096"], "namespace": "kafka", "sasl": "SCRAM-SHA-512"}}`

func TestAnExternalKafkaInProductionIsSecured(t *testing.T) {
	for kafka, wants := range map[string][]string{
		`{"external": {"bootstrapServers": ["b:9096"], "namespace": "kafka", "tls": false, "replicationFactor": 1}}`: {
			"kafka.external.tls", "kafka.external.sasl", "kafka.external.replicationFactor: 1",
		},
		scram: nil,
	} {
		c, secrets, err := config.Load(map[string]string{
			"profile": "production", "images": `{"registry": "r"}`, "ingress": `{"host": "h", "tlsSecret": "s"}`, "kafka": kafka,
		})
		err = errors.Join(err, Check(c, secrets, true))
		if wants == nil && err != nil {
			t.Errorf("a preview refuses %s: %v", kafka, err)
		}
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the faults of %s don't name %s: %v", kafka, want, err)
			}
		}
	}
}
