package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// actual is what a topic is now.
type actual struct {
	partitions int
	// replication holds each number of replicas that some partition has.
	replication []int
	leaderless  []int32
	overrides   map[string]string // config set on the topic itself
}

// plan is what is left to do for one topic. With nothing in it, the topic is
// what its declaration says.
type plan struct {
	create bool
	growTo int
	set    map[string]string
	reset  []string
	// waiting says what has to happen by itself first.
	waiting string
	// refused is what this program won't do; nothing of the topic is touched.
	refused error
}

func (p plan) done() bool {
	return !p.create && p.growTo == 0 && len(p.set) == 0 && len(p.reset) == 0 && p.waiting == "" && p.refused == nil
}

// planFor compares. now is nil when there is no such topic. brokers are those
// that are up: more may follow.
func planFor(want topic, now *actual, brokers int) plan {
	if now == nil {
		if want.replication > brokers {
			return plan{waiting: fmt.Sprintf("replicationFactor %d needs as many brokers, and %d are up: start more, or declare less", want.replication, brokers)}
		}
		return plan{create: true}
	}

	var refused []error
	if now.partitions > want.partitions {
		refused = append(refused, fmt.Errorf("topic %q has %d partitions, %d are wanted: partitions can't be taken away; declare %d, or delete the topic with its data",
			want.name, now.partitions, want.partitions, now.partitions))
	}
	if !slices.Equal(now.replication, []int{want.replication}) {
		refused = append(refused, fmt.Errorf("topic %q has replication factor %s, %d is wanted: declare what it has, or move its replicas with kafka-reassign-partitions.sh",
			want.name, join(now.replication), want.replication))
	}
	if len(refused) > 0 {
		return plan{refused: errors.Join(refused...)}
	}

	p := plan{set: map[string]string{}}
	if now.partitions < want.partitions {
		p.growTo = want.partitions
	}
	for key, value := range want.config {
		if set, overridden := now.overrides[key]; !overridden || !sameValue(set, value) {
			p.set[key] = value
		}
	}
	for _, key := range slices.Sorted(maps.Keys(now.overrides)) {
		if _, declared := want.config[key]; !declared && !ownedByKafka(key) {
			p.reset = append(p.reset, key)
		}
	}
	if len(now.leaderless) > 0 {
		p.waiting = fmt.Sprintf("partitions %v have no leader", now.leaderless)
	}
	return p
}

// ownedByKafka are overrides that Kafka's own tools set for the time of a
// reassignment.
func ownedByKafka(key string) bool {
	return key == "leader.replication.throttled.replicas" || key == "follower.replication.throttled.replicas"
}

// sameValue compares as Kafka does, which answers with its own spelling: it
// would be set again in every run otherwise.
func sameValue(a, b string) bool {
	if a == b {
		return true
	}
	if x, err := strconv.ParseInt(a, 10, 64); err == nil {
		if y, err := strconv.ParseInt(strings.TrimSpace(b), 10, 64); err == nil {
			return x == y
		}
	}
	if x, err := strconv.ParseFloat(a, 64); err == nil {
		y, err := strconv.ParseFloat(strings.TrimSpace(b), 64)
		return err == nil && x == y
	}
	as, bs := strings.Split(a, ","), strings.Split(b, ",")
	return slices.EqualFunc(as, bs, func(x, y string) bool {
		return strings.EqualFold(strings.TrimSpace(x), strings.TrimSpace(y))
	})
}

func join(numbers []int) string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, " and ")
}
