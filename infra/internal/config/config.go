// Package config is what a stack can set: the keys and their meaning, the defaults of each profile, and the checks of
// single values. It knows nothing of Pulumi; what follows from a configuration is in package plan.
package config

import (
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Config is everything that a stack can set. The comments on its fields are the reference in docs.
type Config struct {
	// Profile sets the default of every other key: `small` (2 CPUs, 4 GiB), `default` (4 CPUs, 6 GiB) or `production`
	// (3 nodes or more).
	Profile string `json:"profile"`

	// LogLevel is how much the services log: `debug`, `info`, `warn` or `error`.
	LogLevel string `json:"logLevel"`

	// KeepVolumes keeps the volumes of Kafka and MongoDB when the stack is taken down, with their namespace and the
	// database's passwords, so that the next up finds the data again. They are protected: `make down` leaves them out, and
	// a plain `pulumi destroy` refuses.
	KeepVolumes bool `json:"keepVolumes"`

	// Accept are the keys, such as `mongo.image`, of refused changes to make anyway, if the refusal offers that. Remove
	// them again afterwards.
	Accept []string `json:"accept"`

	// Cluster is the Kubernetes cluster that the stack runs in.
	Cluster Cluster `json:"cluster"`

	// Images says how the images of the services are built and where they are pushed.
	Images Images `json:"images"`

	// Kafka is the Kafka cluster.
	Kafka Kafka `json:"kafka"`

	// Topics are the topics of the platform.
	Topics Topics `json:"topics"`

	// Mongo is the document database.
	Mongo Mongo `json:"mongo"`

	// Services are the five services.
	Services Services `json:"services"`

	// Ingress is the access from outside.
	Ingress Ingress `json:"ingress"`

	// Tracing says where the services send their traces.
	Tracing Tracing `json:"tracing"`

	// Addons are installed beside the platform.
	Addons Addons `json:"addons"`
}

// Cluster describes the Kubernetes cluster.
type Cluster struct {
	// Context is the kubeconfig context to deploy to. Empty means the current one.
	Context string `json:"context"`

	// Domain is the cluster's DNS domain.
	Domain string `json:"domain"`

	// Nodes is the number of nodes. A preview fails if the platform requests more resources than they have.
	Nodes int `json:"nodes"`

	// NodeCPU is the number of CPUs of each node.
	NodeCPU resource.Quantity `json:"nodeCpu"`

	// NodeMemory is the memory of each node.
	NodeMemory resource.Quantity `json:"nodeMemory"`

	// Zones spreads pods and replicas of partitions over the zones of the cluster, and lets consumers read from the
	// replica in their own zone (Kubernetes 1.35 or later).
	Zones bool `json:"zones"`

	// APIServerPorts are the ports on which pods reach the API server, after address translation.
	APIServerPorts []int `json:"apiServerPorts"`

	// DNSAddresses are the CIDR blocks of name servers that are not pods in kube-system, such as a node-local cache.
	DNSAddresses []string `json:"dnsAddresses"`
}

// Images describes how the images of the services are built.
type Images struct {
	// Build builds the images. Without it they must already exist under their names.
	Build bool `json:"build"`

	// Registry is where the images are pushed to, such as `registry.example.com/team`. Empty means that they are not
	// pushed.
	Registry string `json:"registry"`

	// RegistryUsername is the user who pushes, with the secret `registryPassword`. Empty means Docker's stored credentials.
	RegistryUsername string `json:"registryUsername"`

	// Load is a command that loads a built image into the nodes; the image is appended as its last argument. Empty means that
	// the nodes pull from the registry or share the Docker daemon.
	Load []string `json:"load"`

	// Platform is the platform of the images, `linux/amd64` or `linux/arm64`. Empty means that of the machine that builds.
	Platform string `json:"platform"`

	// DockerHost is the address of the Docker daemon. Empty means that of `DOCKER_HOST` or the Docker context.
	DockerHost string `json:"dockerHost"`

	// GoImage is the image that the services are compiled in.
	GoImage string `json:"goImage"`

	// BaseImage is the image that the services run in. It needs a C library and certificates, and nothing else.
	BaseImage string `json:"baseImage"`
}

// Kafka describes the Kafka cluster.
type Kafka struct {
	// External is an existing cluster to use instead of one of the stack's own. No other key of `kafka` may be set with it.
	External ExternalKafka `json:"external"`

	// Image is the Kafka image.
	Image string `json:"image"`

	// Brokers is the number of brokers.
	Brokers int `json:"brokers"`

	// Controllers is the number of separate controllers. With 0, brokers are controllers too.
	Controllers int `json:"controllers"`

	// Voters is how many brokers, the first ones, are controllers too if there are no separate controllers. 0 stands for
	// 3, or for 1 with fewer than 3 brokers. It can't be changed once the cluster exists.
	Voters int `json:"voters"`

	// Heap is the size of each node's Java heap. Its container gets twice as much. Below 1Gi Java's second compiler (C2) is off,
	// since it may need more memory than the container has left.
	Heap resource.Quantity `json:"heap"`

	// CPU is the CPU request of each node.
	CPU resource.Quantity `json:"cpu"`

	// CPULimit is the CPU limit of each node. How many threads it has follows from it.
	CPULimit resource.Quantity `json:"cpuLimit"`

	// Storage is the size of each node's volume.
	Storage resource.Quantity `json:"storage"`

	// StorageClass is the class of the volumes. Empty means the cluster's default.
	StorageClass string `json:"storageClass"`

	// MoveRate is how many bytes per second each broker may send, and receive, while partitions are moved after a change
	// of `brokers`. Set it higher than the rate of writes to a broker.
	MoveRate resource.Quantity `json:"moveRate"`

	// Finalize completes upgrades: once all brokers have run another image for `finalizeAfter`, the cluster's features are
	// raised to that release, and an older one can't start any more. With false they stay as they are.
	Finalize bool `json:"finalize"`

	// FinalizeAfter is how long all brokers must have run the new image. Until then the older one can be set again.
	FinalizeAfter Duration `json:"finalizeAfter"`

	// Secure encrypts every connection, authenticates every client with its own password (SASL PLAIN inside TLS), and
	// grants each only the rights that it needs. Decide before the first start: a running cluster can't be switched.
	Secure bool `json:"secure"`
}

// Topics describes the topics. Replication follows from the number of brokers.
type Topics struct {
	// Purchases contains the purchases.
	Purchases Topic `json:"purchases"`

	// PurchasesDLQ contains the purchases that could not be stored.
	PurchasesDLQ Topic `json:"purchasesDlq"`

	// Orders contains the demo orders.
	Orders Topic `json:"orders"`

	// OrdersDLQ contains the orders that could not be counted.
	OrdersDLQ Topic `json:"ordersDlq"`

	// ProductTotals contains the running total of each product; it is compacted, and never deleted.
	ProductTotals Topic `json:"productTotals"`
}

// Topic describes one topic.
type Topic struct {
	// Name is the topic's name.
	Name string `json:"name"`

	// Partitions is the number of partitions. It can grow, but never shrink.
	Partitions int `json:"partitions"`

	// Retention is how long records are kept.
	Retention Duration `json:"retention"`
}

// Mongo describes the document database.
type Mongo struct {
	// External uses an existing database, at the address in the secret `mongoUri`, and declares none.
	External bool `json:"external"`

	// ExternalAddresses are the CIDR blocks of the external database.
	ExternalAddresses []string `json:"externalAddresses"`

	// ExternalPort is the port of the external database.
	ExternalPort int `json:"externalPort"`

	// Image is the MongoDB image.
	Image string `json:"image"`

	// Members is the size of the replica set: 1 or 3.
	Members int `json:"members"`

	// CPU is the CPU request of each member.
	CPU resource.Quantity `json:"cpu"`

	// CPULimit is the CPU limit of each member.
	CPULimit resource.Quantity `json:"cpuLimit"`

	// Memory is the memory of each member.
	Memory resource.Quantity `json:"memory"`

	// Storage is the size of each member's volume.
	Storage resource.Quantity `json:"storage"`

	// StorageClass is the class of the volumes. Empty means the cluster's default.
	StorageClass string `json:"storageClass"`

	// Database is the name of the database.
	Database string `json:"database"`

	// Backup describes the dumps of the purchases. An external database is backed up where it runs.
	Backup Backup `json:"backup"`
}

// Backup describes the dumps of the purchases.
type Backup struct {
	// Schedule is when to dump, in UTC, such as `30 2 * * *` for every night. Empty means never.
	Schedule string `json:"schedule"`

	// Drill is when to restore the newest dump into a scratch database and compare it.
	Drill string `json:"drill"`

	// Keep is how many dumps to keep.
	Keep int `json:"keep"`

	// Storage is the size of the volume for the dumps, unless a bucket is used.
	Storage resource.Quantity `json:"storage"`

	// StorageClass is the class of that volume. Empty means the cluster's default.
	StorageClass string `json:"storageClass"`

	// S3 is an S3-compatible object store to use instead of the volume.
	S3 S3 `json:"s3"`
}

// S3 describes an object store.
type S3 struct {
	// Bucket is the bucket for the dumps. Empty means that a volume is used. Its keys are the secrets `backupAccessKey`
	// and `backupSecretKey`.
	Bucket string `json:"bucket"`

	// Endpoint is the address of the object store.
	Endpoint string `json:"endpoint"`

	// Region is the region of the bucket. If it is empty, the object store is asked for it.
	Region string `json:"region"`

	// Prefix is the prefix of the dumps' names, such as `shop/`.
	Prefix string `json:"prefix"`

	// Addresses are the CIDR blocks of the object store. Empty means anywhere.
	Addresses []string `json:"addresses"`
}

// Backups reports whether the purchases are dumped.
func (m Mongo) Backups() bool { return !m.External && m.Backup.Schedule != "" }

// Services describes the five services.
type Services struct {
	// WebServer is the shop. It scales on CPU.
	WebServer Service `json:"webServer"`

	// ManagementAPI stores the purchases. It scales on the lag of its consumer group, and on CPU.
	ManagementAPI Service `json:"managementApi"`

	// API reads topics. It scales on CPU.
	API Service `json:"api"`

	// Producer sends demo orders. It scales on CPU.
	Producer Service `json:"producer"`

	// Consumer counts the orders. It scales on the lag of its consumer group, and on CPU.
	Consumer Service `json:"consumer"`
}

// Service describes one service.
type Service struct {
	// Min is the minimum number of pods.
	Min int `json:"min"`

	// Max is the maximum number of pods. A consumer can't have more than its topic has partitions.
	Max int `json:"max"`

	// Target is how much a pod is to do while it keeps up, in percent: of its CPU limit, and, if it scales on lag, of
	// `drainPerSecond`.
	Target int `json:"target"`

	// DrainPerSecond is how many records per second one pod finishes under sustained load, if it scales on lag. On two
	// cores shared with three brokers that replicate, `management-api` finished 5,100 (with the embedded database) and
	// `consumer` 6,300 to 7,500. Measure your own with `make load`.
	DrainPerSecond int `json:"drainPerSecond"`

	// CatchUp is how long catching up with a backlog may take, if it scales on lag. Another pod is added for each
	// `drainPerSecond` × `catchUp` records of lag. An additional pod works after about 30 s, so a shorter time adds pods
	// that come too late.
	CatchUp Duration `json:"catchUp"`

	// CPU is the CPU request of each pod.
	CPU resource.Quantity `json:"cpu"`

	// CPULimit is the CPU limit of each pod.
	CPULimit resource.Quantity `json:"cpuLimit"`

	// Memory is the memory of each pod. Half of it is for Go's heap (`GOMEMLIMIT`), half for Kafka's client; how much
	// `api` reads at once (`READ_CONCURRENCY`, `READ_BYTES_LIMIT`) follows from it.
	Memory resource.Quantity `json:"memory"`

	// Env are additional environment variables of the service, such as `RATE` of the producer.
	Env map[string]string `json:"env"`
}

// Ingress describes the access from outside.
type Ingress struct {
	// Controller is the ingress controller to install: `traefik`, `nginx` (ingress-nginx, which is no longer maintained:
	// use it with minikube only), or `none` if the cluster has one.
	Controller string `json:"controller"`

	// API is the API of the routes: `gateway` (a Gateway and HTTPRoutes) or `ingress` (an Ingress). It follows from the
	// controller; choose it only with `none`.
	API string `json:"api"`

	// Class is the class of the Ingress or of the Gateway. With `none` it names the existing controller.
	Class string `json:"class"`

	// Namespace is where the controller runs.
	Namespace string `json:"namespace"`

	// Replicas is the number of pods of the installed controller. Two or more are spread over nodes, and one of them stays
	// when nodes are drained.
	Replicas int `json:"replicas"`

	// Host is the host name of the routes. Empty means every name.
	Host string `json:"host"`

	// TLSSecret is the name of the secret with the certificate, in the namespace of the services. Empty means plain
	// HTTP.
	TLSSecret string `json:"tlsSecret"`

	// ClusterIssuer is the cert-manager issuer that fills that secret. Empty means that something else does.
	ClusterIssuer string `json:"clusterIssuer"`

	// Annotations are added to the Ingress or the Gateway.
	Annotations map[string]string `json:"annotations"`

	// ServiceType is the type of the installed controller's service: `NodePort`, `LoadBalancer` or `ClusterIP`.
	ServiceType string `json:"serviceType"`
}

// Addons describes what is installed beside the platform.
type Addons struct {
	// KEDA installs KEDA. Without it, the cluster must have it already.
	KEDA bool `json:"keda"`

	// KEDANamespace is where KEDA runs.
	KEDANamespace string `json:"kedaNamespace"`

	// MetricsServer installs the metrics server. Without it, the cluster must have one already.
	MetricsServer bool `json:"metricsServer"`

	// MonitoringNamespace is where the metrics server, Prometheus, Grafana and Jaeger are installed.
	MonitoringNamespace string `json:"monitoringNamespace"`

	// KubeletInsecureTLS lets the metrics server trust kubelets whose certificate the cluster did not sign.
	KubeletInsecureTLS bool `json:"kubeletInsecureTls"`

	// Prometheus installs Prometheus, with the platform's alert rules.
	Prometheus bool `json:"prometheus"`

	// PrometheusRetention is how long metrics are kept.
	PrometheusRetention Duration `json:"prometheusRetention"`

	// PrometheusStorage is the size of Prometheus's volume. With 0, metrics are lost with the pod.
	PrometheusStorage resource.Quantity `json:"prometheusStorage"`

	// Grafana installs Grafana beside Prometheus, with the platform's dashboards.
	Grafana bool `json:"grafana"`

	// Jaeger installs Jaeger, and the services send their traces to it. It keeps the newest ones in memory; it has no volume.
	Jaeger bool `json:"jaeger"`

	// Runbooks is where the folder `docs` can be read, such as `https://git.example.com/shopstream/blob/main/docs`: each alert leads
	// to its paragraph there. If it is empty, an alert says the path in this repository.
	Runbooks string `json:"runbooks"`

	// Repository is where all charts come from instead of their own repositories: a chart repository (`https://…`), or a
	// folder of an OCI registry (`oci://…`).
	Repository string `json:"repository"`

	// Folder is a folder that all charts come from, for a closed network. Use a path relative to `infra/`.
	Folder string `json:"folder"`

	// Values are values that override a chart's own, by the chart's name.
	Values map[string]any `json:"values"`
}

// Dashboards reports whether Grafana is installed: without Prometheus it has nothing to show.
func (a Addons) Dashboards() bool { return a.Grafana && a.Prometheus }

// Monitors reports whether anything runs in the namespace for monitoring.
func (a Addons) Monitors() bool { return a.Prometheus || a.MetricsServer || a.Jaeger }

// Duration is a duration such as `168h`.
type Duration time.Duration

// UnmarshalJSON reads a duration.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("%s is not a duration: write it like \"168h\"", data)
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a duration: write it like \"168h\"", text)
	}
	*d = Duration(parsed)
	return nil
}

// String returns the duration in its largest whole units: 168h, not 168h0m0s.
func (d Duration) String() string {
	span := time.Duration(d)
	switch {
	case span%time.Hour == 0:
		return fmt.Sprintf("%dh", span/time.Hour)
	case span%time.Minute == 0:
		return fmt.Sprintf("%dm", span/time.Minute)
	default:
		return span.String()
	}
}
