package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"shopstream/infra/internal/capacity"
	"shopstream/infra/internal/config"
)

// plan prints what a load needs. It needs neither a cluster nor a stack.
func (p *platform) plan() error {
	defaults, err := config.Defaults(config.Production)
	if err != nil {
		return err
	}
	store := defaults.Services.ManagementAPI
	var faults []error
	number := func(name string, otherwise float64) float64 {
		text := p.getenv(name)
		if text == "" {
			return otherwise
		}
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s=%q is not a number", name, text))
		}
		return n
	}
	span := func(name string, otherwise config.Duration) time.Duration {
		text := p.getenv(name)
		if text == "" {
			return time.Duration(otherwise)
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s=%q is not a duration: write it like 168h", name, text))
		}
		return d
	}
	load := capacity.Load{
		Rate: number("RATE", 1000), Size: int(number("SIZE", 300)),
		Retention: span("RETENTION", defaults.Topics.Purchases.Retention), Kept: span("KEPT", config.Duration(365*24*time.Hour)),
		CatchUp: span("CATCH_UP", store.CatchUp), PerPod: number("DRAIN", float64(store.DrainPerSecond)),
		Fails: p.getenv("FAILS"),
	}
	if load.Fails == "" {
		load.Fails = "zone"
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	plan, err := capacity.For(load)
	if err != nil {
		return err
	}
	if p.json {
		encoder := json.NewEncoder(p.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(plan)
	}
	p.say("For %.0f purchases/s of %d bytes, kept %s in Kafka and %s in the database, with this failure tolerated: %s", load.Rate, load.Size,
		config.Duration(load.Retention), config.Duration(load.Kept), load.Fails)
	p.say("  Kafka           %d brokers, %.0f GB of disk each; purchases: %d partitions", plan.Brokers, plan.BrokerDisk/1e9, plan.Partitions)
	p.say("                  each takes in %.2f MB/s and sends %.2f MB/s", plan.BrokerIn/1e6, plan.BrokerOut/1e6)
	p.say("  web-server      %d pods", plan.WebServer)
	p.say("  management-api  %d pods; %d to catch up within %s with what arrives in %s", plan.ManagementAPI, plan.CatchingUp, load.CatchUp, capacity.Reaction)
	p.say("  MongoDB         %d × 3 members, %.0f GB each", plan.Shards, plan.Database/1e9)
	if len(plan.Changes) > 0 {
		p.say("Where the design has to change:\n  - %s", strings.Join(plan.Changes, "\n  - "))
	}
	p.say("The measurements and assumptions behind it are in infra/internal/capacity/plan.go.")
	return nil
}
