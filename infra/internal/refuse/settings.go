// Package refuse finds changes of a stack's settings that would harm data, the brokers' quorum or the database's majority.
// It compares the settings with those of the last up, and needs neither the cluster nor Pulumi.
package refuse

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/addon"
	"shopstream/infra/internal/config"
	"shopstream/infra/internal/plan"
)

// Settings are those that can't be changed freely once the stack is up.
type Settings struct {
	ClusterDomain string            `json:"clusterDomain"`
	KeepVolumes   bool              `json:"keepVolumes"`
	Kafka         Kafka             `json:"kafka"`
	Mongo         Mongo             `json:"mongo"`
	Topics        map[string]Topic  `json:"topics"`           // by their key in the configuration
	Addons        map[string]Volume `json:"addons,omitempty"` // volumes of addons, by the key that sets their size
}

// Kafka is the brokers' part of the settings. Voters is the number of controllers, separate or not.
type Kafka struct {
	Image        string            `json:"image"`
	Brokers      int               `json:"brokers"`
	Controllers  int               `json:"controllers"`
	Voters       int               `json:"voters"`
	Copies       int               `json:"copies"`
	Secure       bool              `json:"secure"`
	Storage      resource.Quantity `json:"storage"`
	StorageClass string            `json:"storageClass"`

	// External are the bootstrap servers of an external cluster; then nothing else is set.
	External []string `json:"external,omitempty"`
}

// Mongo is the database's part of the settings.
type Mongo struct {
	External     bool              `json:"external"`
	Image        string            `json:"image"`
	Members      int               `json:"members"`
	Storage      resource.Quantity `json:"storage"`
	StorageClass string            `json:"storageClass"`
	Database     string            `json:"database"`        // empty in the settings of earlier versions
	Dumps        *Volume           `json:"dumps,omitempty"` // nil if there is no volume for dumps
}

// Volume is a volume that is declared by itself, and deleted once it no longer is.
type Volume struct {
	Namespace    string            `json:"namespace,omitempty"`
	Storage      resource.Quantity `json:"storage"`
	StorageClass string            `json:"storageClass"`
}

// Topic is one topic's part of the settings.
type Topic struct {
	Name       string `json:"name"`
	Partitions int    `json:"partitions"`
}

// Of returns the settings of a configuration.
func Of(c config.Config) Settings {
	topology := plan.Topology(c)
	s := Settings{
		ClusterDomain: c.Cluster.Domain,
		KeepVolumes:   c.KeepVolumes,
		Kafka: Kafka{
			Image: c.Kafka.Image, Brokers: topology.Brokers, Controllers: topology.Controllers, Voters: topology.Quorum(),
			Copies: topology.ReplicationFactor(), Secure: c.Kafka.Secure, Storage: c.Kafka.Storage, StorageClass: c.Kafka.StorageClass,
		},
		Mongo: Mongo{
			External: c.Mongo.External, Image: c.Mongo.Image, Members: c.Mongo.Members, Storage: c.Mongo.Storage, StorageClass: c.Mongo.StorageClass,
			Database: c.Mongo.Database,
		},
		Topics: map[string]Topic{},
		Addons: addonVolumes(plan.Charts(c)),
	}
	if c.Kafka.IsExternal() {
		s.Kafka = Kafka{External: c.Kafka.External.BootstrapServers}
	}
	if c.Mongo.Backups() && c.Mongo.Backup.S3.Bucket == "" {
		s.Mongo.Dumps = &Volume{Storage: c.Mongo.Backup.Storage, StorageClass: c.Mongo.Backup.StorageClass}
	}
	for _, t := range c.Topics.All() {
		s.Topics[t.Key] = Topic{Name: t.Name, Partitions: t.Partitions}
	}
	return s
}

// addonVolumes returns the volumes of charts by the key that sets their size. Without a size of its own, a volume has the
// chart's, and only its removal is noticed.
func addonVolumes(charts []addon.Chart) map[string]Volume {
	volumes := map[string]Volume{}
	for _, chart := range charts {
		for path, values := range chart.Volumes() {
			key := "addons.values." + path
			if path == addon.PrometheusVolume {
				key = "addons.prometheusStorage"
			}
			v := Volume{Namespace: chart.Namespace}
			v.Storage, _ = resource.ParseQuantity(fmt.Sprint(values["size"]))
			for _, name := range []string{"storageClass", "storageClassName"} {
				if class, set := values[name].(string); set {
					v.StorageClass = class
				}
			}
			volumes[key] = v
		}
	}
	return volumes
}

// Text encodes the settings, always in the same way.
func (s Settings) Text() (string, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("encoding the settings: %w", err)
	}
	return string(text), nil
}

// Parse decodes the result of Text.
func Parse(text string) (Settings, error) {
	var s Settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return Settings{}, fmt.Errorf("reading the settings of the last up: %w", err)
	}
	return s, nil
}
