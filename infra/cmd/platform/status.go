package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"shopstream/infra/internal/plan"
)

// report is what status shows, and what it writes with --json.
type report struct {
	Stack   string      `json:"stack"`
	Context string      `json:"context"`
	Pods    []pod       `json:"pods"`
	Scalers []scaler    `json:"scalers"`
	Groups  []group     `json:"groups"`
	Kafka   []kafkaJob  `json:"kafka"`
	Backups []backupJob `json:"backups"`
	// CertificateEnd is when the certificate of Kafka's nodes expires (RFC 3339); empty if they have none.
	CertificateEnd string   `json:"certificateEnd"`
	Problems       []string `json:"problems"` // what could not be determined, and why
}

type pod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Phase     string `json:"phase"`
	Ready     bool   `json:"ready"`
	Restarts  int    `json:"restarts"`
}

type scaler struct {
	Name     string   `json:"name"`
	Targets  []string `json:"targets"` // current/target of each metric; lag is per pod
	Min      int      `json:"min"`
	Max      int      `json:"max"`
	Replicas int      `json:"replicas"`
}

// group is a consumer group in the format of api's /groups.
type group struct {
	Group   string `json:"group"`
	State   string `json:"state"`
	Members int    `json:"members"`
	Lag     int64  `json:"lag"`
}

func (p *platform) status(ctx context.Context) error {
	if err := p.needCluster(ctx); err != nil {
		return err
	}
	r := report{
		Stack: p.stack, Context: p.kube.context,
		// In JSON a list without elements is [], also one that could not be read.
		Scalers: []scaler{}, Groups: []group{}, Kafka: []kafkaJob{}, Backups: []backupJob{}, Problems: []string{},
	}
	note := func(what string, err error) {
		if err != nil {
			r.Problems = append(r.Problems, what+": "+err.Error())
		}
	}
	var err error
	r.Pods, err = p.pods(ctx)
	note("pods", err)
	if len(r.Pods) > 0 {
		r.Scalers, err = p.scalers(ctx)
		note("autoscalers", err)
		r.Groups, err = p.lag(ctx)
		note("lag", err)
		r.Kafka, err = p.kafkaJobs(ctx)
		note("Kafka's Jobs", err)
		r.Backups, err = p.backups(ctx)
		note("backups", err)
		r.CertificateEnd, err = p.certificateEnd(ctx)
		note("Kafka's certificate", err)
	}
	if p.json {
		encoder := json.NewEncoder(p.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	if len(r.Pods) == 0 && len(r.Problems) == 0 {
		p.say("stack %s is not up on %s. Run make up", p.stack, p.kube.context)
		return nil
	}
	p.printPods(r.Pods)
	p.step("Autoscalers (a target of lag is per pod)")
	rows := [][]any{{"NAME", "CURRENT/TARGET", "MIN", "MAX", "REPLICAS"}}
	for _, s := range r.Scalers {
		rows = append(rows, []any{s.Name, strings.Join(s.Targets, " "), s.Min, s.Max, s.Replicas})
	}
	p.table(rows)
	p.step("Lag")
	rows = [][]any{{"GROUP", "STATE", "MEMBERS", "LAG"}}
	for _, g := range r.Groups {
		rows = append(rows, []any{g.Group, g.State, g.Members, g.Lag})
	}
	p.table(rows)
	p.printKafkaJobs(r.Kafka)
	p.printBackups(r.Backups)
	p.printCertificate(r.CertificateEnd)
	for _, problem := range r.Problems {
		p.warn("unknown at the moment: %s", problem)
	}
	return nil
}

func (p *platform) table(rows [][]any) {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(w, strings.Repeat("%v\t", len(row)-1)+"%v\n", row...)
	}
	_ = w.Flush()
}

func (p *platform) printPods(pods []pod) {
	p.step("Pods")
	rows := [][]any{{"NAMESPACE", "POD", "PHASE", "READY", "RESTARTS"}}
	for _, q := range pods {
		ready := "NO"
		switch {
		case q.Phase == "Succeeded":
			ready = "-"
		case q.Ready:
			ready = "yes"
		}
		rows = append(rows, []any{q.Namespace, q.Name, q.Phase, ready, q.Restarts})
	}
	p.table(rows)
}

// pods returns those in the namespaces that this stack has created.
func (p *platform) pods(ctx context.Context) ([]pod, error) {
	all := []pod{}
	namespaces, err := p.namespaces(ctx)
	if err != nil {
		return all, err
	}
	rows, err := p.kube.rows(ctx, []string{
		".metadata.namespace", ".metadata.name", ".status.phase", ".status.containerStatuses[*].ready", ".status.containerStatuses[*].restartCount",
	}, "-A", "pods")
	for _, row := range rows {
		if !slices.Contains(namespaces, row[0]) {
			continue
		}
		q := pod{Namespace: row[0], Name: row[1], Phase: row[2], Ready: row[3] != "" && !strings.Contains(row[3], "false")}
		for count := range strings.SplitSeq(row[4], ",") {
			restarts, _ := strconv.Atoi(count)
			q.Restarts += restarts
		}
		all = append(all, q)
	}
	return all, err
}

// scalers reads kubectl's own table: name, reference, targets (such as "cpu: 5%/70%"), min, max, replicas, age.
func (p *platform) scalers(ctx context.Context) ([]scaler, error) {
	text, err := p.kube.run(ctx, "-n", plan.AppNamespace, "get", "--no-headers", "horizontalpodautoscalers.v2.autoscaling")
	all := []scaler{}
	for line := range strings.Lines(text) {
		cells := strings.Fields(line)
		end := len(cells) - 4
		if end < 2 {
			continue
		}
		s := scaler{Name: cells[0]}
		for target := range strings.SplitSeq(strings.Join(cells[2:end], " "), ", ") {
			s.Targets = append(s.Targets, strings.TrimSuffix(strings.TrimPrefix(target, "cpu: "), " (avg)"))
		}
		for i, number := range []*int{&s.Min, &s.Max, &s.Replicas} {
			*number, _ = strconv.Atoi(cells[end+i])
		}
		all = append(all, s)
	}
	return all, err
}

// lag asks api for the consumer groups.
func (p *platform) lag(ctx context.Context) ([]group, error) {
	groups := []group{}
	if _, err := p.kube.run(ctx, "-n", plan.AppNamespace, "wait", "--for=condition=Available", "deployment/"+plan.API, "--timeout=1s"); err != nil {
		return groups, errors.New("no pod of api is ready")
	}
	address, stop, err := p.kube.forward(ctx, plan.AppNamespace, plan.API, p.portOf(plan.API))
	if err != nil {
		return groups, err
	}
	defer stop()
	r, err := p.client(ctx, address, "http://"+address).Get(ctx, "/groups")
	if err == nil {
		err = json.Unmarshal(r.Body, &groups)
	}
	return groups, err
}

func (p *platform) logs(ctx context.Context) error {
	if err := p.needCluster(ctx); err != nil {
		return err
	}
	namespace, selector := plan.AppNamespace, "app.kubernetes.io/part-of=shopstream"
	if service := p.getenv("SERVICE"); service != "" {
		if strings.HasPrefix(service, "kafka") || strings.HasPrefix(service, "mongodb") {
			namespace = plan.DataNamespace
		}
		selector = "app.kubernetes.io/name=" + service + "," + selector
	}
	pods, err := p.kube.run(ctx, "-n", namespace, "get", "pods", "-l", selector, "-o", "name")
	if err != nil {
		return err
	}
	if pods == "" && p.config.Kafka.IsExternal() && strings.HasPrefix(p.getenv("SERVICE"), "kafka") {
		return errors.New("kafka.external is set, so the logs of the brokers are with their operator. make logs shows what the services log about them")
	}
	if pods == "" {
		return fmt.Errorf("there are no such pods in %s: set SERVICE to a service's name, topics, kafka or mongodb, or leave it out for all services", namespace)
	}
	arguments := []string{"-n", namespace, "logs", "-l", selector, "--prefix", "--all-containers", "--max-log-requests=100"}
	if tail := p.getenv("TAIL"); tail != "" {
		arguments = append(arguments, "--tail="+tail)
	} else {
		arguments = append(arguments, "--tail=20")
	}
	if since := p.getenv("SINCE"); since != "" {
		arguments = append(arguments, "--since="+since)
	}
	if p.getenv("FOLLOW") != "0" {
		arguments = append(arguments, "--follow")
	}
	command := p.kube.command(ctx, arguments...)
	command.Stdout, command.Stderr = p.out, os.Stderr
	if err := command.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("reading the logs: %w", err)
	}
	return nil
}
