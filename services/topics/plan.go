package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// actual is the current state of a topic.
type actual struct {
	partitions int
	// replication holds each number of replicas that some partition has.
	replication []int
	leaderless  []int32
	overrides   map[string]string // config set on the topic itself
	config      map[string]string // what applies, defaults included; nil if it may not be read
}

// plan is what is left to do for one topic. If it is empty, the topic matches its
// declaration.
type plan struct {
	create bool
	growTo int
	set    map[string]string
	reset  []string
	// waiting is what has to happen first, outside of this program.
	waiting string
	// refused is why the declaration can't be applied. Then nothing of the topic is
	// changed.
	refused error
}

func (p plan) done() bool {
	return !p.create && p.growTo == 0 && len(p.set) == 0 && len(p.reset) == 0 && p.waiting == "" && p.refused == nil
}

func (c *cluster) planFor(want topic, now *actual, brokers int) plan {
	if c.external {
		return planForExternal(want, now)
	}
	return planFor(want, now, brokers)
}

// planFor compares the declaration with the current state, which is nil if the topic
// doesn't exist. brokers is the number of brokers that are up so far.
func planFor(want topic, now *actual, brokers int) plan {
	if now == nil {
		if want.replication > brokers {
			return plan{waiting: fmt.Sprintf("replicationFactor %d needs as many brokers, and %d are up: start more, or declare less", want.replication, brokers)}
		}
		return plan{create: true}
	}

	var refused []error
	if now.partitions > want.partitions {
		refused = append(refused, fmt.Errorf("topic %q has %d partitions but %d are declared, and partitions can't be removed: declare %d, or delete the topic with its data",
			want.name, now.partitions, want.partitions, now.partitions))
	}
	if !slices.Equal(now.replication, []int{want.replication}) {
		refused = append(refused, fmt.Errorf("topic %q has replication factor %s but %d is declared: declare what it has, or move its replicas with kafka-reassign-partitions.sh",
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

// ownedByKafka are overrides that Kafka's own tools set during a reassignment.
func ownedByKafka(key string) bool {
	return key == "leader.replication.throttled.replicas" || key == "follower.replication.throttled.replicas"
}

// sameValue compares values as Kafka does. Kafka reports them in its own spelling, so
// that comparing the text would set them again in every run.
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
