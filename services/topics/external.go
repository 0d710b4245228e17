package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// planForExternal compares a declaration with a topic of a cluster that others own.
// Nothing is removed from the topic: additional partitions, replicas and overrides stay,
// since they are the owner's.
func planForExternal(want topic, now *actual) plan {
	if now == nil {
		return plan{create: true}
	}
	p := plan{set: map[string]string{}}
	if least := slices.Min(now.replication); least < want.replication {
		return plan{refused: fmt.Errorf("topic %q has replication factor %d and needs %d: have the cluster's owner move its replicas, or declare %d",
			want.name, least, want.replication, least)}
	}
	if now.partitions < want.partitions {
		p.growTo = want.partitions
	}
	for key, value := range want.config {
		// A setting that a cluster doesn't report doesn't exist there: Redpanda has no min.insync.replicas.
		if is, reported := now.config[key]; reported && !sameValue(is, value) {
			p.set[key] = value
		}
	}
	if len(now.leaderless) > 0 {
		p.waiting = fmt.Sprintf("partitions %v have no leader", now.leaderless)
	}
	return p
}

// Changes that brokers may refuse.
const (
	creating    = "creating it"
	growing     = "adding partitions"
	configuring = "changing its config"
)

// verify decides on the changes that the brokers of an external cluster have refused:
// those that the platform can do without are removed from the plan and noted, the others
// are errors.
func (o *outcome) verify(p *plan, now *actual) {
	var lacks []string
	var refusals []error
	need := func(change, text string) {
		lacks = append(lacks, text)
		if !slices.Contains(refusals, o.refused[change]) {
			refusals = append(refusals, o.refused[change])
		}
	}
	if p.create && o.refused[creating] != nil {
		need(creating, "doesn't exist, or this user may not describe it")
	}
	if p.growTo > 0 && o.refused[growing] != nil {
		need(growing, fmt.Sprintf("has %d partitions and needs %d", now.partitions, p.growTo))
	}
	if o.refused[configuring] != nil {
		for _, key := range slices.Sorted(maps.Keys(p.set)) {
			differs := fmt.Sprintf("has %s=%s, declared is %s", key, now.config[key], p.set[key])
			if !enough(key, now.config[key], p.set[key]) {
				need(configuring, differs)
				continue
			}
			o.note(differs)
			delete(p.set, key)
		}
	}
	if len(lacks) > 0 {
		*p = plan{refused: fmt.Errorf("topic %q %s; the brokers refuse to change that: %w: have the cluster's owner make it %s, or let this user (Create, Alter, AlterConfigs)",
			o.topic.name, strings.Join(lacks, "; it "), errors.Join(refusals...), o.topic)}
	}
}

// observe notes where a topic of an external cluster has more than declared, and what
// could not be read.
func (o *outcome) observe(now *actual) {
	if now == nil {
		return
	}
	if now.partitions > o.topic.partitions {
		o.note(fmt.Sprintf("has %d partitions, declared are %d", now.partitions, o.topic.partitions))
	}
	if most := slices.Max(now.replication); most > o.topic.replication {
		o.note(fmt.Sprintf("has replication factor %d, declared is %d", most, o.topic.replication))
	}
	if now.config == nil {
		o.note("this user may not read its config (DescribeConfigs), so it was not compared")
	}
}

func (o *outcome) note(text string) {
	if !slices.Contains(o.differs, text) {
		o.differs = append(o.differs, text)
	}
}

// enough reports whether the platform can work with a value instead of the declared one.
func enough(key, is, want string) bool {
	has, err := strconv.ParseInt(is, 10, 64)
	if err != nil {
		return false
	}
	needs, err := strconv.ParseInt(want, 10, 64)
	if err != nil {
		return false
	}
	switch key {
	case "retention.ms":
		return has == -1 || has >= needs // -1 means forever
	case "min.insync.replicas":
		return has >= needs
	}
	return false
}

// String formats a declaration for an error message.
func (t topic) String() string {
	parts := []string{fmt.Sprintf("with %d partitions", t.partitions), fmt.Sprintf("replication factor %d", t.replication)}
	for _, key := range slices.Sorted(maps.Keys(t.config)) {
		parts = append(parts, key+"="+t.config[key])
	}
	return strings.Join(parts, ", ")
}
