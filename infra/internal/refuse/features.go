package refuse

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// kafkaImage is the key of the brokers' image.
const kafkaImage = "kafka.image"

// OlderKafka reports whether the brokers get an older Kafka, unless that is accepted.
func OlderKafka(before, now Settings, accepted []string) bool {
	return older(now.Kafka.Image, before.Kafka.Image) && !slices.Contains(accepted, kafkaImage)
}

// metadataLevels returns the highest level of metadata.version that each release of Kafka supports, from its class
// MetadataVersion.
func metadataLevels() map[string]int {
	return map[string]int{"4.0": 25, "4.1": 27, "4.2": 29, "4.3": 30, "4.4": 33}
}

// Unstartable returns an error if an older Kafka would not start on a cluster with these finalized features, which are the log
// of `topics features`.
func Unstartable(before, now Settings, features string) error {
	change := refusal{key: kafkaImage, was: before.Kafka.Image, is: now.Kafka.Image}
	lines := strings.Split(strings.TrimSpace(features), "\n")
	var finalized map[string]int
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &finalized); err != nil {
		return Unknown(before, now, fmt.Errorf("reading the features: %w", err))
	}
	v := version(now.Kafka.Image)
	release := fmt.Sprintf("%d.%d", v[0], append(v, 0)[1])
	supported, known := metadataLevels()[release]
	const feature = "metadata.version"
	switch level := finalized[feature]; {
	case !known:
		return Unknown(before, now, fmt.Errorf("the cluster's %s is finalized at %d, and the level that Kafka %s supports is unknown to this program", feature, level, release))
	case level > supported:
		change.why = fmt.Sprintf("the cluster's %s is finalized at %d, and Kafka %s supports no more than %d, so it would not start", feature, level, release, supported)
		change.instead = "keep the release that it was finalized by, or a newer one"
		return change
	}
	return nil
}

// Unknown is the refusal of an older Kafka if the cluster's features could not be determined.
func Unknown(before, now Settings, err error) error {
	return fmt.Errorf("%w (%w)", refusal{
		key: kafkaImage, was: before.Kafka.Image, is: now.Kafka.Image,
		why:     "an older Kafka doesn't start on a cluster whose features are finalized for a newer one, and they could not be determined",
		instead: "check with kafka-features.sh describe that the FinalizedVersionLevel of metadata.version is not newer",
		accept:  true,
	}, err)
}
