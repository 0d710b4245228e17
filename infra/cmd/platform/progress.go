package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// progress shows what pulumi does as it does it: a line for each change that is made and, on a terminal, a last line with
// what is being worked on.
type progress struct {
	out      io.Writer
	terminal bool
	began    time.Time

	working map[string]time.Time // by URN
	changed int
	line    bool // a last line stands there
}

// follow shows events until stop is closed. The stream alone doesn't tell: it is not closed where pulumi fails early.
func (p *progress) follow(stream <-chan events.EngineEvent, stop <-chan struct{}) {
	p.began, p.working = time.Now(), map[string]time.Time{}
	defer p.clear()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case event, open := <-stream:
			if !open {
				stream = nil
				continue
			}
			p.show(event)
		case <-tick.C:
			p.status()
		case <-stop:
			return
		}
	}
}

var done = map[apitype.OpType]string{
	apitype.OpCreate: "created", apitype.OpCreateReplacement: "created", apitype.OpUpdate: "updated",
	apitype.OpDelete: "deleted", apitype.OpDeleteReplaced: "deleted", apitype.OpReplace: "replaced",
}

func (p *progress) show(event events.EngineEvent) {
	switch {
	case event.ResourcePreEvent != nil:
		step := event.ResourcePreEvent.Metadata
		if done[step.Op] != "" && step.Op != apitype.OpReplace {
			p.working[step.URN] = time.Now()
		}
	case event.ResOutputsEvent != nil:
		step := event.ResOutputsEvent.Metadata
		if began, ok := p.working[step.URN]; ok {
			p.changed++
			p.print("  %-9s %-44s %s", done[step.Op], nameOf(step.URN), since(began))
		}
		delete(p.working, step.URN)
	case event.ResOpFailedEvent != nil:
		step := event.ResOpFailedEvent.Metadata
		p.changed++
		p.print("  %-9s %s", "FAILED", nameOf(step.URN))
		delete(p.working, step.URN)
	case event.DiagnosticEvent != nil:
		d := event.DiagnosticEvent
		if d.Severity == "warning" || d.Severity == "error" || d.Severity == "info#err" && !d.Ephemeral {
			p.print("%s", strings.TrimRight(colors.Never.Colorize(d.Prefix+d.Message), "\n"))
		}
	case event.SummaryEvent != nil:
		p.print("%s", summary(event.SummaryEvent.ResourceChanges, time.Since(p.began)))
	}
	p.status()
}

// nameOf is the kind and the name of a resource, such as "StatefulSet kafka".
func nameOf(urn string) string {
	u := resource.URN(urn)
	kind := string(u.Type())
	return kind[strings.LastIndex(kind, ":")+1:] + " " + u.Name()
}

func since(began time.Time) string { return time.Since(began).Round(time.Second).String() }

// summary counts what was done.
func summary(changes map[apitype.OpType]int, took time.Duration) string {
	var parts []string
	for op, count := range changes {
		name := string(op)
		if done[op] != "" {
			name = done[op]
		} else if op == apitype.OpSame {
			name = "unchanged"
		}
		parts = append(parts, fmt.Sprintf("%d %s", count, name))
	}
	slices.Sort(parts)
	return fmt.Sprintf("\nResources: %s, in %s", strings.Join(parts, ", "), took.Round(time.Second))
}

func (p *progress) print(format string, args ...any) {
	p.clear()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// status rewrites the last line.
func (p *progress) status() {
	if !p.terminal {
		return
	}
	var oldest string
	for urn, began := range p.working {
		if oldest == "" || began.Before(p.working[oldest]) {
			oldest = urn
		}
	}
	p.clear()
	text := fmt.Sprintf("  %s  %d done", since(p.began), p.changed)
	if oldest != "" {
		text += fmt.Sprintf(", %d at work, longest %s (%s)", len(p.working), nameOf(oldest), since(p.working[oldest]))
	}
	fmt.Fprint(p.out, text)
	p.line = true
}

func (p *progress) clear() {
	if p.line {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.line = false
	}
}
