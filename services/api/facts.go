package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// facts is what the page says about a picture, in words that need no further work.
type facts struct {
	Summary string // what needs a look, without numbers, so that it is read out only when it changes
	State   string
	Parts   []partFacts // by part
	Flows   []flowFacts // by flow
	Unseen  []string    // what is not known now, and why
	Basis   string      // over which times the rates are
}

// States of parts, which the style sheet knows.
const (
	stateUp      = "up"
	stateWarn    = "warn" // works, and needs a look
	stateDown    = "down"
	stateUnknown = "unknown"
	statePerson  = "person" // has none
)

// partFacts is about one part.
type partFacts struct {
	State string
	Says  string // what the state is, or why
	Short string // the same where a box of the drawing has no room for it; "" if it has
	Size  string // "" if nothing is counted
	Link  string // to the viewer; "" if it has nothing to show
}

// flowFacts is about one flow.
type flowFacts struct {
	Rate   string // such as 1.5/s
	Note   string // such as lag 3
	Moves  bool
	Alarm  bool
	Detail string // both in words
}

// unknown is what stands for a number that isn't known.
const unknown = "–"

// teller turns an observation into facts.
type teller struct {
	picture *picture
	observation
	metricsURL string
}

func (t *teller) tell() facts {
	f := facts{Unseen: t.unseen(), Basis: t.basis()}
	var down, look []string
	for _, p := range t.picture.Parts {
		one := t.part(p)
		f.Parts = append(f.Parts, one)
		switch one.State {
		case stateDown:
			down = append(down, p.Name+" ("+one.Says+")")
		case stateWarn:
			look = append(look, p.Name+" ("+one.Says+")")
		}
	}
	for _, fl := range t.picture.Flows {
		one := t.flow(fl)
		f.Flows = append(f.Flows, one)
	}
	switch {
	case len(down) > 0:
		f.State, f.Summary = stateDown, "Down: "+strings.Join(down, ", ")+"."
	case t.kafka == nil:
		f.State, f.Summary = stateDown, "Kafka cannot be read."
	default:
		f.State, f.Summary = stateUp, "Everything that this page sees is up."
	}
	if len(look) > 0 {
		if f.State == stateUp {
			f.State, f.Summary = stateWarn, ""
		}
		f.Summary = strings.TrimSpace(f.Summary + " Needs a look: " + strings.Join(look, ", ") + ".")
	}
	return f
}

// unseen names what the page can't see now.
func (t *teller) unseen() []string {
	var all []string
	if t.kafka == nil {
		all = append(all, "Kafka does not answer: what is in topics and how far their readers are is unknown. "+reason(t.kafkaErr))
	}
	const without = "Instances, requests, latency and the state of the database are unknown."
	switch {
	case t.metricsURL == "":
		all = append(all, "No metrics: METRICS_URL is not set, as in a cluster with addons.prometheus off. "+without)
	case t.metrics == nil:
		all = append(all, "The metrics cannot be read. "+without+" "+reason(t.metricsErr))
	}
	return all
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	// The sentence before it has said that Kafka doesn't answer.
	return "(" + strings.NewReplacer(errUnavailable.Error()+": ", "", "down: ", "").Replace(err.Error()) + ")"
}

// basis says over which times the rates are, and how old the metrics are.
func (t *teller) basis() string {
	var all []string
	over := func(what string, seconds float64) {
		if seconds > 0 {
			all = append(all, fmt.Sprintf("%s over the last %s", what, spanText(seconds)))
		}
	}
	if t.kafka != nil {
		over("records", t.kafka.seconds)
	}
	if t.metrics != nil {
		over("requests and latency", t.metrics.seconds)
	}
	if len(all) == 0 {
		return "Rates need a second reading, in a moment."
	}
	text := "Rates are means: " + strings.Join(all, ", ") + "."
	if age := time.Since(t.metricsAt()); t.metrics != nil && age > 5*time.Second {
		text += " The newest metrics are " + spanText(age.Seconds()) + " old."
	}
	return text
}

func (t *teller) metricsAt() time.Time {
	if t.metrics == nil {
		return time.Time{}
	}
	return t.metrics.at
}

// ---- parts

func (t *teller) part(p part) partFacts {
	switch p.Kind {
	case kindService:
		return t.service(p)
	case kindTopic, kindLetters:
		return t.topic(p)
	case kindDatabase:
		return t.database()
	case kindBrokers:
		return t.brokers()
	}
	return partFacts{State: statePerson}
}

// service judges a service by its instances and what they depend on, or, without metrics,
// by the members of its group.
func (t *teller) service(p part) partFacts {
	if t.metrics == nil {
		return t.group(p)
	}
	instances, up := t.metrics.now.of(p.Name, metricUp), 0
	for _, one := range instances {
		if one.value == 1 {
			up++
		}
	}
	lacking := t.lacking(p.Name)
	result := partFacts{State: stateUp, Says: "up", Size: plural(int64(len(instances)), "instance"), Link: p.groupLink()}
	switch {
	case up == 0:
		result.State, result.Says = stateDown, "does not answer"
	case up < len(instances):
		result.State, result.Says = stateWarn, fmt.Sprintf("%d of %d answer", up, len(instances))
	case len(lacking) > 0:
		result.State, result.Says = stateWarn, "no "+strings.Join(lacking, ", no ")
		if len(result.Says) > boxRoom {
			result.Short = fmt.Sprintf("%d dependencies down", len(lacking))
		}
	}
	return result
}

// boxRoom is how many characters a box of the drawing has room for.
const boxRoom = 20

// lacking names the dependencies of a service that are down, as the picture calls them.
// Without Kafka there are no topics either, which need not be said.
func (t *teller) lacking(service string) []string {
	down := map[string]bool{}
	for _, one := range t.metrics.now.of(service, metricDependency) {
		if one.value != 1 {
			down[one.labels["dependency"]] = true
		}
	}
	var names []string
	for name := range down {
		at := t.picture.index(name)
		switch {
		case name == "kafka":
			names = append(names, "Kafka")
		case name == "mongo":
			names = append(names, "MongoDB")
		case at >= 0 && t.picture.Parts[at].Kind == kindTopic:
			if !down["kafka"] {
				names = append(names, "topic "+name)
			}
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// groupLink leads to the groups in the viewer, if the service has one.
func (p part) groupLink() string {
	if p.Group == "" {
		return ""
	}
	return "/viewer#view=groups"
}

func (t *teller) group(p part) partFacts {
	if p.Group == "" || t.kafka == nil {
		return partFacts{State: stateUnknown, Says: "not seen"}
	}
	g := t.kafka.now.groups[p.Group]
	if g.Members == 0 {
		return partFacts{State: stateDown, Says: "no group member", Link: p.groupLink()}
	}
	return partFacts{State: stateUp, Says: "reads", Size: plural(int64(g.Members), "group member"), Link: p.groupLink()}
}

func (t *teller) topic(p part) partFacts {
	link := "/viewer#topic=" + p.Name // names of topics need no escape
	if t.kafka == nil {
		return partFacts{State: stateUnknown, Says: "not seen", Link: link}
	}
	topic, ok := t.kafka.now.topics[p.Name]
	if !ok {
		return partFacts{State: stateDown, Says: "does not exist"}
	}
	result := partFacts{State: stateUp, Says: plural(int64(len(topic.Partitions)), "partition"), Size: records(topic.Messages), Link: link}
	leaderless := 0
	for _, one := range topic.Partitions {
		if one.Leader < 0 {
			leaderless++
		}
	}
	switch {
	case leaderless > 0:
		result.State, result.Says = stateDown, plural(int64(leaderless), "partition")+" without leader"
	case p.Kind == kindLetters && t.grown(p.Name) > 0:
		result.State, result.Says = stateWarn, "new dead letters"
	}
	return result
}

func (t *teller) database() partFacts {
	result := partFacts{State: stateUnknown, Says: "not seen"}
	if t.metrics == nil {
		return result
	}
	asked, up := 0, 0
	for _, one := range t.metrics.now.of("", metricDependency) {
		if one.labels["dependency"] == "mongo" {
			asked++
			if one.value == 1 {
				up++
			}
		}
	}
	switch {
	case asked == 0: // those who would know are down themselves
	case up == 0:
		result.State, result.Says = stateDown, "does not answer"
	case up < asked:
		result.State, result.Says = stateWarn, fmt.Sprintf("answers %d of %d instances", up, asked)
	default:
		result.State, result.Says = stateUp, "up"
	}
	return result
}

func (t *teller) brokers() partFacts {
	result := partFacts{State: stateDown, Says: "does not answer", Link: "/viewer#view=brokers"}
	if t.kafka == nil {
		return result
	}
	up, late := 0, 0
	all := t.kafka.now.brokers.Brokers
	for _, b := range all {
		if b.Up {
			up++
		}
		late += b.OutOfSync
	}
	result.Size = plural(int64(len(all)), "broker")
	switch {
	case up < len(all):
		result.State, result.Says = stateWarn, fmt.Sprintf("%d of %d up", up, len(all))
	case late > 0:
		result.State, result.Says = stateWarn, plural(int64(late), "replica")+" out of sync"
	default:
		result.State, result.Says = stateUp, "up"
	}
	return result
}

// ---- flows

func (t *teller) flow(f flow) flowFacts {
	from, to := t.picture.Parts[t.picture.index(f.From)], t.picture.Parts[t.picture.index(f.To)]
	switch {
	case from.Kind == kindBrokers:
		return flowFacts{Rate: "any topic", Detail: "reads any topic when asked to, and joins no group"}
	case to.Kind == kindTopic, to.Kind == kindLetters:
		return t.written(from, to)
	case from.Kind == kindTopic:
		return t.read(from, to)
	case to.Kind == kindDatabase:
		return t.stored(from)
	case to.Kind == kindService:
		return t.requests(to)
	}
	return t.requests(from)
}

// grown returns how many records a topic has got since the earlier reading.
func (t *teller) grown(topic string) int64 {
	if t.kafka == nil {
		return 0
	}
	grown := int64(0)
	for _, p := range t.kafka.now.topics[topic].Partitions {
		for _, before := range t.kafka.earlier.topics[topic].Partitions {
			if before.Partition == p.Partition {
				grown += p.High - before.High // less after the topic was made anew
			}
		}
	}
	return max(grown, 0)
}

func (t *teller) written(from, to part) flowFacts {
	result := flowFacts{Rate: unknown, Detail: "unknown"}
	if t.kafka == nil {
		return result
	}
	if t.kafka.seconds > 0 {
		grown := t.grown(to.Name)
		result.Rate = rate(float64(grown), t.kafka.seconds)
		result.Moves = grown > 0
		result.Alarm = grown > 0 && to.Kind == kindLetters
		result.Detail = perSecond(float64(grown), t.kafka.seconds) + " records/s"
	}
	if slowest, ok := t.slowest(func(s series) bool {
		return s.name == metricProduce && s.labels["service"] == from.Name && s.labels["topic"] == to.Name
	}); ok {
		result.Note = "ack " + slowest
		result.Detail += "; 95 % acknowledged within " + slowest
	}
	return result
}

func (t *teller) read(from, to part) flowFacts {
	result := flowFacts{Rate: unknown, Detail: "unknown"}
	if t.kafka == nil {
		return result
	}
	now, before := t.kafka.now.groups[to.Group], t.kafka.earlier.groups[to.Group]
	lag, advanced := int64(0), int64(0)
	for _, p := range now.Partitions {
		if p.Topic != from.Name {
			continue
		}
		if p.Lag != nil {
			lag += *p.Lag
		}
		for _, earlier := range before.Partitions {
			if earlier.Topic == p.Topic && earlier.Partition == p.Partition && p.Committed != nil && earlier.Committed != nil {
				advanced += *p.Committed - *earlier.Committed
			}
		}
	}
	result.Note = "lag " + grouped(lag)
	result.Detail = plural(lag, "record") + " behind"
	if t.kafka.seconds > 0 {
		done := float64(max(advanced, 0))
		result.Rate, result.Moves = rate(done, t.kafka.seconds), done > 0
		result.Detail = perSecond(done, t.kafka.seconds) + " records/s; " + result.Detail
	}
	if lag > 0 && now.Members == 0 {
		result.Alarm = true
		result.Detail += ", and nobody reads"
	}
	return result
}

func (t *teller) stored(from part) flowFacts {
	result := flowFacts{Rate: unknown, Detail: "unknown"}
	if t.metrics == nil || t.metrics.seconds == 0 {
		return result
	}
	stored := t.metrics.now.increase(t.metrics.earlier, named(from.Name, metricStored))
	result.Rate = rate(stored, t.metrics.seconds)
	result.Moves = stored > 0
	result.Detail = perSecond(stored, t.metrics.seconds) + " purchases/s stored"
	if slowest, ok := t.slowest(named(from.Name, metricEndToEnd)); ok {
		result.Note = "95 % in " + slowest
		result.Detail += "; 95 % within " + slowest + " of being bought"
	}
	return result
}

// requests counts the requests that a service answers, without those of probes and
// scrapes.
func (t *teller) requests(to part) flowFacts {
	result := flowFacts{Rate: unknown, Detail: "unknown"}
	if t.metrics == nil || t.metrics.seconds == 0 {
		return result
	}
	asked := func(s series) bool { return named(to.Name, metricRequests)(s) && !operational(s.labels["route"]) }
	all := t.metrics.now.increase(t.metrics.earlier, asked)
	failed := t.metrics.now.increase(t.metrics.earlier, func(s series) bool { return asked(s) && strings.HasPrefix(s.labels["code"], "5") })
	result.Rate = rate(all, t.metrics.seconds)
	result.Moves = all > 0
	result.Detail = perSecond(all, t.metrics.seconds) + " requests/s"
	if failed > 0 {
		result.Alarm = true
		result.Note = rate(failed, t.metrics.seconds) + " fail"
		result.Detail += ", of which " + perSecond(failed, t.metrics.seconds) + " failed on the server’s side"
	}
	return result
}

func operational(route string) bool {
	return route == "/metrics" || route == "/health" || strings.HasPrefix(route, "/-/")
}

func named(service, name string) func(series) bool {
	return func(s series) bool { return s.name == name && s.labels["service"] == service }
}

// slowest is scrape.slowest as text.
func (t *teller) slowest(accepts func(series) bool) (string, bool) {
	if t.metrics == nil || t.metrics.seconds == 0 {
		return "", false
	}
	slowest, ok := t.metrics.now.slowest(t.metrics.earlier, accepts)
	if !ok {
		return "", false
	}
	return spanText(slowest.Seconds()), true
}

// ---- numbers

// perSecond is a number of events by the second, with just enough digits to show that
// something moves.
func perSecond(events, seconds float64) string {
	n := events / seconds
	switch {
	case n == 0:
		return "0"
	case n < .1:
		return "<0.1"
	case n < 100:
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return grouped(int64(n + .5))
}

func rate(events, seconds float64) string { return perSecond(events, seconds) + "/s" }

// spanText is a time in milliseconds, seconds or minutes.
func spanText(seconds float64) string {
	switch {
	case seconds < .01:
		return strconv.FormatFloat(seconds*1000, 'f', 1, 64) + " ms"
	case seconds < 1:
		return strconv.FormatFloat(seconds*1000, 'f', 0, 64) + " ms"
	case seconds < 10:
		return strconv.FormatFloat(seconds, 'f', 1, 64) + " s"
	case seconds < 120:
		return strconv.FormatFloat(seconds, 'f', 0, 64) + " s"
	}
	return strconv.FormatFloat(seconds/60, 'f', 1, 64) + " min"
}

// grouped groups the digits of a whole number.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + one + "s"
}

// records is a number of offsets, of which transactions and compaction leave fewer
// records.
func records(n int64) string {
	if n == 0 {
		return "no records"
	}
	return "≤ " + plural(n, "record")
}
