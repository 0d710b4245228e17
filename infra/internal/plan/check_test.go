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
		"even quorum":               {set: map[string]string{"kafka": `{"voters": 2}`}, wants: []string{"kafka.voters: 2: a quorum", "1, 3 or 5"}},
		"no brokers":                {set: map[string]string{"kafka": `{"brokers": 0}`}, wants: []string{"kafka.brokers: 0: set 1 or more"}},
		"even controllers":          {set: map[string]string{"kafka": `{"controllers": 2}`}, wants: []string{"kafka.controllers: 2: a quorum"}},
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
		"two collectors":            {set: map[string]string{"addons": `{"jaeger": true}`, "tracing": `{"endpoint": "http://c:4318", "namespace": "tracing"}`}, wants: []string{"addons.jaeger: is on"}},
		"traces of no id":           {set: map[string]string{"tracing": `{"url": "http://localhost:16686"}`}, wants: []string{"tracing.url", "has no {id}"}},
		"traces at no address":      {set: map[string]string{"tracing": `{"url": "jaeger/{id}"}`}, wants: []string{"tracing.url", "https://"}},
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
		"a target of no CPU": {
			set:   map[string]string{"services": `{"api": {"cpu": "10m", "cpuLimit": "20m", "target": 3}}`},
			wants: []string{"services.api.target: 3 % of a CPU limit of 20m is less than a millicore"},
		},
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
		"null in a list":            {set: map[string]string{"cluster": `{"apiServerPorts": [null, 6443]}`}, wants: []string{"cluster.apiServerPorts: has an entry without a value"}},
		"null in a command":         {set: map[string]string{"images": `{"load": [null]}`}, wants: []string{"images.load: has an entry without a value"}},
		"null for a variable":       {set: map[string]string{"services": `{"api": {"env": {"A": null}}}`}, wants: []string{"services.api.env.A: has no value"}},
		"no quantity":               {set: map[string]string{"cluster": `{"nodeCpu": "four"}`}, wants: []string{`cluster.nodeCpu: "four" is not a quantity: write it like`}},
		"quantity in small letters": {set: map[string]string{"kafka": `{"storage": "2gi"}`}, wants: []string{`kafka.storage: "2gi" is not a quantity`}},
		"heap that overflows":       {set: map[string]string{"kafka": `{"heap": "9223372036854775807"}`}, wants: []string{"kafka.heap: 9223372036854775807: set 1Pi or less"}},
		"memory beyond a quantity":  {set: map[string]string{"services": `{"api": {"memory": "1e30"}}`}, wants: []string{"services.api.memory: 1e30: set 1Pi or less"}},
		"volume of exabytes":        {set: map[string]string{"mongo": `{"storage": "9E"}`}, wants: []string{"mongo.storage: 9E: set 1Pi or less"}},
		"all CPUs there are":        {set: map[string]string{"kafka": `{"cpuLimit": "1E"}`}, wants: []string{"kafka.cpuLimit: 1E: set 1M or less"}},
		"negative brokers":          {set: map[string]string{"kafka": `{"brokers": -1}`}, wants: []string{"kafka.brokers: -1: set 1 or more"}},
		"voters and controllers":    {set: map[string]string{"kafka": `{"voters": 3, "controllers": 3}`}, wants: []string{"kafka.voters: is set, but kafka.controllers is too"}},
		"more voters than brokers":  {set: map[string]string{"kafka": `{"voters": 5}`}, wants: []string{"kafka.voters: 5 of 3 brokers"}},
		"accepted by no name":       {set: map[string]string{"accept": `["kafka.broker", "mongo.members"]`}, wants: []string{`accept: "kafka.broker" is not a key`}},
		"domain with a dot":         {set: map[string]string{"cluster": `{"domain": "cluster.local."}`}, wants: []string{`cluster.domain: "cluster.local." is not a DNS domain`}},
		"domain with a long part":   {set: map[string]string{"cluster": `{"domain": "` + strings.Repeat("a", 64) + `.local"}`}, wants: []string{"is not a DNS domain"}},
		"domain without room":       {set: map[string]string{"cluster": `{"domain": "` + strings.Repeat("a.", 100) + `local"}`}, wants: []string{"is not a DNS domain", "183 letters at most"}},
		"domain of numbers":         {set: map[string]string{"cluster": `{"domain": "10.0.0.1"}`}, wants: []string{"cluster.domain"}},
		"host of numbers":           {set: map[string]string{"ingress": `{"host": "shop.256"}`}, wants: []string{`ingress.host: "shop.256" is not a host name`}},
		"registry's port":           {set: map[string]string{"images": `{"registry": "example.com:99999/team", "load": []}`}, wants: []string{"images.registry"}},
		"registry without room":     {set: map[string]string{"images": `{"registry": "example.com/` + strings.Repeat("a", 245) + `", "load": []}`}, wants: []string{"images.registry"}},
		"registry's user":           {set: map[string]string{"images": `{"registryUsername": "ci:token"}`}, wants: []string{"images.registryUsername"}},
		"registry of an image":      {set: map[string]string{"kafka": `{"image": "Apache/kafka:4.3.1"}`}, wants: []string{`kafka.image: "Apache/kafka:4.3.1" begins with "Apache"`}},
		"port of an image":          {set: map[string]string{"images": `{"goImage": "mirror:0/golang:1.26"}`}, wants: []string{`images.goImage: "mirror:0/golang:1.26" begins with "mirror:0"`}},
		"a host without brackets":   {set: map[string]string{"images": `{"dockerHost": "tcp://::1:2375"}`}, wants: []string{"images.dockerHost", "in brackets"}},
		"a relative socket":         {set: map[string]string{"images": `{"dockerHost": "unix://run/docker.sock"}`}, wants: []string{"images.dockerHost", "no socket"}},
		"a scheme in capitals":      {set: map[string]string{"images": `{"dockerHost": "TCP://docker:2375"}`}, wants: []string{"images.dockerHost", "write it like"}},
		"a host in other letters":   {set: map[string]string{"tracing": `{"endpoint": "http://sammler.köln:4318", "namespace": "tracing"}`}, wants: []string{"tracing.endpoint", "xn--"}},
		"a host with a long part":   {set: map[string]string{"addons": `{"repository": "https://` + strings.Repeat("a", 64) + `.example.com"}`}, wants: []string{"addons.repository", "neither a host name nor an address"}},
		"broker's port with a sign": {set: map[string]string{"kafka": `{"external": {"bootstrapServers": ["b:+9092", "b:09092", "b.9:9092"], "namespace": "kafka"}}`}, wants: []string{`"b:+9092" is not`, `"b:09092" is not`, `"b.9:9092" is not`}},
		"database without room":     {set: map[string]string{"mongo": `{"database": "` + strings.Repeat("a", 58) + `"}`}, wants: []string{"mongo.database", "57 at most"}}, // with _drill it would have 64
		"bucket in capitals":        {set: map[string]string{"mongo": backupTo(`"bucket": "Dumps"`)}, wants: []string{`mongo.backup.s3.bucket: "Dumps" is not a valid name of a bucket`}},
		"a short bucket":            {set: map[string]string{"mongo": backupTo(`"bucket": "ab"`)}, wants: []string{"mongo.backup.s3.bucket"}},
		"a bucket's address":        {set: map[string]string{"mongo": backupTo(`"bucket": "192.0.2.7"`)}, wants: []string{"mongo.backup.s3.bucket"}},
		"store with a path":         {set: map[string]string{"mongo": backupTo(`"bucket": "dumps", "endpoint": "https://store.example.com/dumps"`)}, wants: []string{"mongo.backup.s3.endpoint", "more than a host"}},
		"store with a password":     {set: map[string]string{"mongo": backupTo(`"bucket": "dumps", "endpoint": "https://u:p@store.example.com"`)}, wants: []string{"mongo.backup.s3.endpoint", "more than a host"}},
		"no store":                  {set: map[string]string{"mongo": backupTo(`"bucket": "dumps", "endpoint": ""`)}, wants: []string{"mongo.backup.s3.endpoint: is empty"}},
		"region in words":           {set: map[string]string{"mongo": backupTo(`"bucket": "dumps", "region": "Frankfurt am Main"`)}, wants: []string{"mongo.backup.s3.region"}},
		"prefix that leads up":      {set: map[string]string{"mongo": backupTo(`"bucket": "dumps", "prefix": "../shop/"`)}, wants: []string{"mongo.backup.s3.prefix"}},
		"prefix from the root":      {set: map[string]string{"mongo": backupTo(`"bucket": "dumps", "prefix": "/shop/"`)}, wants: []string{"mongo.backup.s3.prefix"}},
		"prefix with a line":        {set: map[string]string{"mongo": backupTo(`"bucket": "dumps", "prefix": "shop\n"`)}, wants: []string{"mongo.backup.s3.prefix"}},
		"a controller in the shop":  {set: map[string]string{"ingress": `{"controller": "none", "class": "nginx", "namespace": "shop"}`}, wants: []string{`ingress.namespace: "shop" is created by the stack`}},
		"a controller beside KEDA":  {set: map[string]string{"ingress": `{"controller": "none", "class": "nginx", "namespace": "keda"}`}, wants: []string{`ingress.namespace: "keda" is created by the stack`}},
		"another's class":           {set: map[string]string{"ingress": `{"annotations": {"kubernetes.io/ingress.class": "haproxy"}}`}, wants: []string{`kubernetes.io/ingress.class is "haproxy", but ingress.class is "nginx"`}},
		"another's issuer":          {set: map[string]string{"ingress": `{"host": "h", "tlsSecret": "s", "clusterIssuer": "a", "annotations": {"cert-manager.io/cluster-issuer": "b"}}`}, wants: []string{`cert-manager.io/cluster-issuer is "b", but ingress.clusterIssuer is "a"`}},
		"annotations without room":  {set: map[string]string{"ingress": `{"annotations": {"a": "` + strings.Repeat("x", 262143) + `"}}`}, wants: []string{"ingress.annotations: has 262144 bytes"}}, // Pulumi adds its own
		"a day that never comes":    {set: map[string]string{"mongo": `{"backup": {"schedule": "0 0 31 2 *"}}`}, wants: []string{`mongo.backup.schedule: "0 0 31 2 *" never comes`}},
		"a dump each second":        {set: map[string]string{"mongo": `{"backup": {"schedule": "@every 1s"}}`}, wants: []string{`mongo.backup.schedule: "@every 1s" is more often`}},
		"a drill all the time":      {set: map[string]string{"mongo": `{"backup": {"schedule": "@daily", "drill": "@every -1h"}}`}, wants: []string{`mongo.backup.drill: "@every -1h" is more often`}},
		"a volume of two bytes":     {set: map[string]string{"kafka": `{"storage": 2}`}, wants: []string{"kafka.storage: 2: set 64Mi or more"}},
		"another group":             {set: map[string]string{"services": `{"consumer": {"env": {"GROUP_ID": "mine"}}}`}, wants: []string{"services.consumer.env: GROUP_ID follows"}},
		"another topic":             {set: map[string]string{"services": `{"webServer": {"env": {"PURCHASES_TOPIC": "mine"}}}`}, wants: []string{"services.webServer.env: PURCHASES_TOPIC follows"}},
		"collector in the pod":      {set: map[string]string{"tracing": `{"endpoint": "http://localhost:4318", "namespace": "tracing"}`}, wants: []string{`tracing.endpoint: "localhost" is the pod itself`}},
		"brokers in the pod":        {set: map[string]string{"kafka": `{"external": {"bootstrapServers": ["[::1]:9092"], "namespace": "kafka"}}`}, wants: []string{`kafka.external.bootstrapServers: "::1" is the pod itself`}},
		"store in the pod":          {set: map[string]string{"mongo": backupTo(`"bucket": "dumps", "endpoint": "http://127.0.0.1:9000"`)}, wants: []string{`mongo.backup.s3.endpoint: "127.0.0.1" is the pod itself`}},
		"runbooks with a template":  {set: map[string]string{"addons": `{"runbooks": "https://x/{{ $labels.job }}"}`}, wants: []string{"addons.runbooks"}}, // Prometheus would expand it
		"runbooks with a fragment":  {set: map[string]string{"addons": `{"runbooks": "https://x/docs#top"}`}, wants: []string{"addons.runbooks"}},
		"charts in capitals":        {set: map[string]string{"addons": `{"repository": "oci://registry.example.com/Charts"}`}, wants: []string{"addons.repository", "in lower case"}},
		"charts with a tag":         {set: map[string]string{"addons": `{"repository": "oci://registry.example.com/charts:1"}`}, wants: []string{"addons.repository", "without a tag"}},
		"charts with a query":       {set: map[string]string{"addons": `{"repository": "https://x/charts?v=1"}`}, wants: []string{"addons.repository"}},
		"values that are a list":    {set: map[string]string{"addons": `{"values": {"keda": ["a"]}}`}, wants: []string{"addons.values.keda: [a] is not an object"}},
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

// backupTo is a database that is dumped to a bucket.
func backupTo(s3 string) string {
	return `{"backup": {"schedule": "30 2 * * *", "s3": {` + s3 + `}}}`
}

// TestUnusualValuesAreValid has values that a check refused, or could, although what reads them accepts them.
func TestUnusualValuesAreValid(t *testing.T) {
	for name, set := range map[string]map[string]string{
		"keys without a value": {"cluster": `{"nodeCpu": null, "apiServerPorts": null, "zones": null}`, "kafka": "null",
			"addons": `{"prometheusStorage": null, "prometheusRetention": null}`, "topics": `{"orders": {"name": null, "retention": null}}`, "accept": "null"},
		"quantities":            {"kafka": `{"cpu": 0.25, "storage": "1.5Gi", "heap": 402653184}`, "cluster": `{"nodeCpu": "4e0", "nodeMemory": "6144Mi"}`},
		"addresses of IPv6":     {"cluster": `{"dnsAddresses": ["fd00::/8", "::/0"]}`, "images": `{"dockerHost": "tcp://[::1]:2375"}`},
		"a registry's address":  {"images": `{"registry": "10.0.0.1:5000/team", "load": []}`, "kafka": `{"image": "[fd00::1]:5000/apache/kafka:4.3.1"}`},
		"Docker by SSH's alias": {"images": `{"dockerHost": "ssh://me@build_host"}`},
		"Docker's socket":       {"images": `{"dockerHost": "npipe:////./pipe/docker_engine"}`},
		"every name":            {"ingress": `{"host": "*.shop.example.com"}`},
		"names with digits":     {"ingress": `{"host": "3com.shop4.example.com"}`, "cluster": `{"domain": "k8s"}`},
		"an external Kafka":     {"kafka": `{"external": {"bootstrapServers": ["B-1.Example.com:9096", "[fd00::1]:9092", "10.0.0.1:1"], "addresses": ["10.0.0.0/8"]}}`},
		"a bucket": {"cluster": `{"nodeMemory": "8Gi"}`,
			"mongo": backupTo(`"bucket": "my.dumps-1", "endpoint": "http://minio.store:9000/", "region": "eu-central-1", "prefix": "shop/2026/"`)},
		"annotations that agree": {"ingress": `{"annotations": {"kubernetes.io/ingress.class": "nginx", "cert-manager.io/cluster-issuer": "mine"}}`},
		"charts of a registry":   {"addons": `{"repository": "oci://registry.example.com:5000/charts", "values": {"keda": null}}`},
		"the 29th of February":   {"cluster": `{"nodeMemory": "8Gi"}`, "mongo": `{"backup": {"schedule": "0 0 29 2 *", "drill": "@every 24h"}}`},
		"accepted":               {"accept": `["kafka.brokers", "mongo.image", "topics.orders.name", "addons.values.grafana.persistence"]`},
	} {
		t.Run(name, func(t *testing.T) {
			c, secrets, err := config.Load(set)
			if err := errors.Join(err, Check(c, secrets, true)); err != nil {
				t.Error(err)
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
