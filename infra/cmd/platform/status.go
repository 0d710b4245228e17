package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
)

// report is what status shows, and what it writes with --json.
type report struct {
	Stack    string   `json:"stack"`
	Context  string   `json:"context"`
	Pods     []pod    `json:"pods"`
	Scalers  []scaler `json:"scalers"`
	Groups   []group  `json:"groups"`
	Problems []string `json:"problems"` // what could not be found out, and why
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

// group is a consumer group, as api's /groups has it.
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
	r := report{Stack: p.stack, Context: p.kube.context, Problems: []string{}}
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
		note("scalers", err)
		r.Groups, err = p.lag(ctx)
		note("lag", err)
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
	p.step("Pods")
	p.printPods(r.Pods)
	p.step("Scalers (a target of lag is per pod)")
	p.table("NAME\tCURRENT/TARGET\tMIN\tMAX\tREPLICAS", func(row func(...any)) {
		for _, s := range r.Scalers {
			row(s.Name, strings.Join(s.Targets, " "), s.Min, s.Max, s.Replicas)
		}
	})
	p.step("Lag")
	p.table("GROUP\tSTATE\tMEMBERS\tLAG", func(row func(...any)) {
		for _, g := range r.Groups {
			row(g.Group, g.State, g.Members, g.Lag)
		}
	})
	for _, problem := range r.Problems {
		p.warn("unknown at the moment: %s", problem)
	}
	return nil
}

// table writes rows in columns under a head.
func (p *platform) table(head string, fill func(row func(...any))) {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	fill(func(cells ...any) {
		var line []string
		for _, cell := range cells {
			line = append(line, fmt.Sprint(cell))
		}
		fmt.Fprintln(w, strings.Join(line, "\t"))
	})
	_ = w.Flush()
}

func (p *platform) printPods(pods []pod) {
	p.table("NAMESPACE\tPOD\tPHASE\tREADY\tRESTARTS", func(row func(...any)) {
		for _, q := range pods {
			ready := "NO"
			switch {
			case q.Phase == "Succeeded":
				ready = "-"
			case q.Ready:
				ready = "yes"
			}
			row(q.Namespace, q.Name, q.Phase, ready, q.Restarts)
		}
	})
}

func (p *platform) pods(ctx context.Context) ([]pod, error) {
	namespaces, err := p.kube.namespaces(ctx)
	if err != nil {
		return nil, err
	}
	all := []pod{}
	for _, namespace := range namespaces {
		rows, err := p.kube.rows(ctx, []string{
			".metadata.name", ".status.phase", ".status.containerStatuses[*].ready", ".status.containerStatuses[*].restartCount",
		}, "-n", namespace, "pods")
		if err != nil {
			return all, err
		}
		for _, row := range rows {
			q := pod{Namespace: namespace, Name: row[0], Phase: row[1], Ready: absent(row[2]) != "" && !strings.Contains(row[2], "false")}
			for count := range strings.SplitSeq(row[3], ",") {
				restarts, _ := strconv.Atoi(count)
				q.Restarts += restarts
			}
			all = append(all, q)
		}
	}
	return all, nil
}

func (p *platform) scalers(ctx context.Context) ([]scaler, error) {
	type value struct {
		AverageUtilization *int   `json:"averageUtilization"`
		AverageValue       string `json:"averageValue"`
	}
	type metric struct {
		Resource, External struct{ Current, Target value }
	}
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct {
				MinReplicas, MaxReplicas int
				Metrics                  []metric
			}
			Status struct {
				CurrentReplicas int
				CurrentMetrics  []metric
			}
		}
	}
	text := func(resource, external value) string {
		for _, v := range []value{resource, external} {
			if v.AverageUtilization != nil {
				return strconv.Itoa(*v.AverageUtilization) + "%"
			}
			if v.AverageValue != "" {
				return v.AverageValue
			}
		}
		return "?"
	}
	if err := p.kube.get(ctx, &list, "-n", shop, "horizontalpodautoscalers.v2.autoscaling"); err != nil {
		return nil, err
	}
	all := []scaler{}
	for _, item := range list.Items {
		s := scaler{Name: item.Metadata.Name, Min: item.Spec.MinReplicas, Max: item.Spec.MaxReplicas, Replicas: item.Status.CurrentReplicas}
		for i, target := range item.Spec.Metrics {
			current := "?"
			if i < len(item.Status.CurrentMetrics) {
				current = text(item.Status.CurrentMetrics[i].Resource.Current, item.Status.CurrentMetrics[i].External.Current)
			}
			s.Targets = append(s.Targets, current+"/"+text(target.Resource.Target, target.External.Target))
		}
		all = append(all, s)
	}
	return all, nil
}

// lag asks api for the consumer groups.
func (p *platform) lag(ctx context.Context) ([]group, error) {
	if _, err := p.kube.run(ctx, "-n", shop, "wait", "--for=condition=Available", "deployment/api", "--timeout=1s"); err != nil {
		return nil, errors.New("no pod of api is ready")
	}
	forward, err := p.kube.forward(ctx, shop, "service/api", 3000)
	if err != nil {
		return nil, err
	}
	defer forward.close()
	client := visitor{http: direct(), token: p.apiToken(ctx)}
	body, err := client.get(ctx, forward.url("http")+"/groups")
	if err != nil {
		return nil, err
	}
	groups := []group{}
	if err := json.Unmarshal(body, &groups); err != nil {
		return nil, fmt.Errorf("reading the groups: %w", err)
	}
	return groups, nil
}

func (p *platform) logs(ctx context.Context) error {
	if err := p.needCluster(ctx); err != nil {
		return err
	}
	namespace, selector := shop, "app.kubernetes.io/part-of=shopstream"
	if service := p.getenv("SERVICE"); service != "" {
		if strings.HasPrefix(service, "kafka") || strings.HasPrefix(service, "mongodb") {
			namespace = shopData
		}
		selector = "app.kubernetes.io/name=" + service + "," + selector
	}
	pods, err := p.kube.run(ctx, "-n", namespace, "get", "pods", "-l", selector, "-o", "name")
	if err != nil {
		return err
	}
	if pods == "" {
		return fmt.Errorf("there are no such pods in %s: SERVICE is one of web-server, management-api, api, producer, consumer, topics, kafka, mongodb, or nothing for all services", namespace)
	}
	tail := p.getenv("TAIL")
	if tail == "" {
		tail = "20"
	}
	arguments := []string{"-n", namespace, "logs", "-l", selector, "--prefix", "--all-containers", "--max-log-requests=100", "--tail=" + tail}
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
