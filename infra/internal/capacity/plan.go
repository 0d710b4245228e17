package capacity

import (
	"errors"
	"fmt"
	"time"
)

// buy is the CPU time of a purchase in web-server, in seconds: measured with one pod, 24 partitions and 1,500/s
// (docs/infra-scaling.md). It is more at a low rate, when each record is sent by itself, but then there is little of it.
const buy = 0.17e-3

// Buys is how many purchases per second a pod of web-server takes with that much CPU, in cores.
func Buys(cpu float64) float64 { return cpu / buy }

// The assumptions of a plan. The measurements were made on two shared cores: replace them by your own.
const (
	// webCPU is the CPU of a pod of web-server at its target: by default 70 % of 500m.
	webCPU = 0.35

	// podTarget is the part of what a pod of management-api can do that it is to do: the default of its target.
	podTarget = 0.8

	// storedPerPrimary is how many purchases per second one primary stores. The embedded database stored 7,500 to 9,700.
	storedPerPrimary = 7500

	// partitionsPerBroker is the maximum that Amazon MSK recommends for its kraft.m7g.large and xlarge, including replicas:
	// https://docs.aws.amazon.com/msk/latest/developerguide/bestpractices.html.
	partitionsPerBroker = 1000

	// brokersPerCluster is Amazon MSK's limit with KRaft: https://docs.aws.amazon.com/msk/latest/developerguide/limits.html.
	brokersPerCluster = 60

	// Assumed, not published: what one broker writes per second, and what one database holds before replicating it and
	// backing it up takes too long.
	bytesPerBroker   = 50e6
	bytesPerDatabase = 2e12

	replicas = 3   // of each partition and of the database
	full     = 0.7 // the share of a disk that may be used
)

// Load is the load that a plan is made for.
type Load struct {
	Rate      float64       `json:"purchasesPerSecond"`
	Size      int           `json:"bytes"` // of one purchase in Kafka
	Retention time.Duration `json:"retentionNs"`
	Kept      time.Duration `json:"keptNs"` // how long the database keeps a purchase
	CatchUp   time.Duration `json:"catchUpNs"`
	PerPod    float64       `json:"drainPerSecond"` // of a pod of management-api
	Fails     string        `json:"fails"`          // what may fail without refused requests: "none", "broker" or "zone" (one of three)
}

// Plan is what a load needs. Sizes are in bytes, rates in bytes per second.
type Plan struct {
	Load          Load     `json:"load"`
	Brokers       int      `json:"brokers"`
	Partitions    int      `json:"partitions"` // of purchases
	BrokerDisk    float64  `json:"diskPerBroker"`
	BrokerIn      float64  `json:"networkInPerBroker"` // after the failure in Fails
	BrokerOut     float64  `json:"networkOutPerBroker"`
	WebServer     int      `json:"webServerPods"`
	ManagementAPI int      `json:"managementApiPods"` // enough to keep up
	CatchingUp    int      `json:"managementApiPodsCatchingUp"`
	Shards        int      `json:"databaseShards"`
	Database      float64  `json:"databasePerMember"`
	Changes       []string `json:"whereTheDesignChanges"`
}

// For makes a plan for a load. It reports all invalid values of the load at once.
func For(l Load) (Plan, error) {
	if err := l.check(); err != nil {
		return Plan{}, err
	}
	p := Plan{Load: l, WebServer: ceil(l.Rate / Buys(webCPU))}

	// A failed member is noticed after about Reaction; the backlog until then has to be caught up.
	backlog := l.Rate * Reaction.Seconds()
	p.ManagementAPI = ceil(l.Rate / (l.PerPod * podTarget))
	p.CatchingUp = max(p.ManagementAPI, ceil((l.Rate+backlog/l.CatchUp.Seconds())/l.PerPod))
	p.Partitions = 6 * ceil(float64(p.CatchingUp*PartitionsPerPod)/6)
	for (Model{PerPod: l.PerPod, Partitions: p.Partitions}).Rate(p.CatchingUp) < l.Rate+backlog/l.CatchUp.Seconds() {
		p.CatchingUp++ // the partitions are not spread evenly
	}

	written := l.Rate * float64(l.Size)
	remaining := max(3, ceil(written*replicas/bytesPerBroker), ceil(float64(p.Partitions*replicas)/partitionsPerBroker))
	switch l.Fails {
	case "none":
		p.Brokers = remaining
	case "broker":
		// Two of three still accept purchases: more than three are needed only for the amount written.
		p.Brokers = max(3, ceil(written*replicas/bytesPerBroker)+1, remaining)
	case "zone":
		third := max(1, ceil(max(written*replicas/bytesPerBroker, float64(p.Partitions*replicas)/partitionsPerBroker)/2))
		p.Brokers = 3 * third
	}
	left := float64(p.Brokers - map[string]int{"none": 0, "broker": 1, "zone": p.Brokers / 3}[l.Fails])
	p.BrokerDisk = written * l.Retention.Seconds() * replicas / left / full
	p.BrokerIn = written * replicas / left
	p.BrokerOut = written * replicas / left // to the other replicas, and to management-api

	stored := l.Rate * float64(l.Size+200) * l.Kept.Seconds() / full // a document and its two index entries
	p.Shards = max(1, ceil(l.Rate/storedPerPrimary), ceil(stored/bytesPerDatabase))
	p.Database = stored / float64(p.Shards)
	p.Changes = p.changes()
	return p, nil
}

// changes says where the present design no longer suffices.
func (p Plan) changes() []string {
	var list []string
	if p.Shards > 1 {
		list = append(list, fmt.Sprintf("shard the database by userid, %d times: one primary stores some %d/s and holds %.0f TB",
			p.Shards, storedPerPrimary, bytesPerDatabase/1e12))
	}
	if p.Brokers > brokersPerCluster {
		list = append(list, fmt.Sprintf("divide into %d cells by userid, each with its own brokers and database: one cluster has at most %d brokers",
			ceil(float64(p.Brokers)/brokersPerCluster), brokersPerCluster))
	}
	if p.Brokers > 6 {
		list = append(list, "keep the three controllers apart from the brokers (kafka.controllers)")
	}
	return list
}

func (l Load) check() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(!(l.Rate > 0 && l.Rate <= 10e6), "RATE=%v: set purchases per second, up to 10000000", l.Rate)
	fault(l.Size < 1 || l.Size > 1<<20, "SIZE=%d: set bytes, 1 to 1048576", l.Size)
	fault(l.Retention < time.Minute, "RETENTION=%s: set a minute or more", l.Retention)
	fault(l.Kept < time.Minute, "KEPT=%s: set a minute or more", l.Kept)
	fault(l.CatchUp < time.Second, "CATCH_UP=%s: set a second or more", l.CatchUp)
	fault(!(l.PerPod >= 1), "DRAIN=%v: set records per second, 1 or more", l.PerPod)
	fault(l.Fails != "none" && l.Fails != "broker" && l.Fails != "zone", "FAILS=%q: set none, broker or zone", l.Fails)
	return errors.Join(faults...)
}
