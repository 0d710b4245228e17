package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"shopstream/infra/internal/label"
)

// kubectl calls the cluster of one kubeconfig context. It is the command and not client-go, whose API packages would add
// minutes to the first build.
type kubectl struct{ context string }

// findCluster returns the stack's context, or else the current one, which is empty if there is none.
func findCluster(ctx context.Context, configured string) (kubectl, error) {
	if configured == "" && installed("kubectl") {
		current, err := output(ctx, "kubectl", "config", "current-context")
		if err == nil {
			configured = strings.TrimSpace(current)
		}
	}
	return kubectl{configured}, ctx.Err()
}

func (k kubectl) command(ctx context.Context, arguments ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "kubectl", append([]string{"--context", k.context}, arguments...)...)
}

func (k kubectl) run(ctx context.Context, arguments ...string) (string, error) {
	return outputOf(k.command(ctx, arguments...))
}

// feed runs kubectl with that standard input.
func (k kubectl) feed(ctx context.Context, stdin string, arguments ...string) (string, error) {
	command := k.command(ctx, arguments...)
	command.Stdin = strings.NewReader(stdin)
	return outputOf(command)
}

// rows gets a list of objects as a table with kubectl's custom columns. A missing value is empty.
func (k kubectl) rows(ctx context.Context, columns []string, arguments ...string) ([][]string, error) {
	var named []string
	for i, column := range columns {
		named = append(named, fmt.Sprintf("C%d:%s", i, column))
	}
	text, err := k.run(ctx, append([]string{"get", "--no-headers", "-o", "custom-columns=" + strings.Join(named, ",")}, arguments...)...)
	var rows [][]string
	for line := range strings.Lines(text) {
		row := strings.Fields(line)
		for i := range row {
			row[i] = strings.Replace(row[i], "<none>", "", 1)
		}
		if len(row) == len(columns) {
			rows = append(rows, row)
		}
	}
	return rows, err
}

func (k kubectl) answers(ctx context.Context) bool {
	if k.context == "" || !installed("kubectl") {
		return false
	}
	_, err := k.run(ctx, "--request-timeout=10s", "get", "--raw", "/readyz")
	return err == nil
}

// namespaces returns the namespaces that stacks of this program have created on the cluster, and the stack of each. It is
// empty for a namespace that is older than the annotation.
func (k kubectl) namespaces(ctx context.Context) (map[string]string, error) {
	text, err := k.run(ctx, "get", "namespaces", "-l", "app.kubernetes.io/part-of=shopstream,app.kubernetes.io/managed-by=pulumi",
		"-o", `jsonpath={range .items[*]}{.metadata.name}{"\t"}{.metadata.annotations.`+label.Stack+`}{"\n"}{end}`)
	stacks := map[string]string{}
	for line := range strings.Lines(text) {
		name, stack, _ := strings.Cut(strings.TrimSpace(line), "\t")
		stacks[name] = stack
	}
	return stacks, err
}

var forwarding = regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) `)

// forward opens a port-forward to a service, and opens it again when the pod that it leads to is replaced. It returns the
// local address, and a function that closes it.
func (k kubectl) forward(ctx context.Context, namespace, service string, port int) (address string, stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	address, ended, err := k.forwardToPod(ctx, namespace, service, fmt.Sprintf(":%d", port))
	if err != nil {
		cancel()
		return "", nil, err
	}
	local := strings.TrimPrefix(address, "127.0.0.1:")
	var keeping sync.WaitGroup
	keeping.Go(func() {
		for <-ended; ctx.Err() == nil; <-ended {
			_, next, err := k.forwardToPod(ctx, namespace, service, fmt.Sprintf("%s:%d", local, port))
			if err == nil {
				ended = next
				continue
			}
			select { // no pod is ready yet
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
	return address, func() { cancel(); keeping.Wait() }, nil
}

// forwardToPod opens a port-forward to one pod of a service. ended is closed when it no longer works.
func (k kubectl) forwardToPod(ctx context.Context, namespace, service, ports string) (address string, ended chan struct{}, err error) {
	ctx, cancel := context.WithCancel(ctx)
	command := k.command(ctx, "-n", namespace, "port-forward", "--address", "127.0.0.1", "service/"+service, ports)
	var stderr strings.Builder
	command.Stderr, command.WaitDelay = &stderr, time.Second
	stdout, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		cancel()
		return "", nil, fmt.Errorf("opening a port-forward to %s in %s: %w", service, namespace, err)
	}
	// kubectl prints the address once it listens, or exits. After half a minute without either, it is killed.
	timer := time.AfterFunc(30*time.Second, cancel)
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	match := forwarding.FindStringSubmatch(line)
	if !timer.Stop() || match == nil {
		cancel()
		_ = command.Wait()
		return "", nil, fmt.Errorf("the port-forward to %s in %s failed: %s", service, namespace, strings.TrimSpace(stderr.String()))
	}
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		_, _ = io.Copy(io.Discard, stdout)
		_ = command.Wait()
	}()
	return match[1], ended, nil
}

func installed(tool string) bool {
	_, err := exec.LookPath(tool)
	return err == nil
}

// need returns an error that lists all missing tools, and how to install them.
func need(tools ...string) error {
	hints := map[string]string{
		"docker":   "https://docs.docker.com/get-docker",
		"minikube": "https://minikube.sigs.k8s.io/docs/start",
		"pulumi":   "https://www.pulumi.com/docs/install",
		"kubectl":  "https://kubernetes.io/docs/tasks/tools",
		"go":       "https://go.dev/dl",
	}
	var missing strings.Builder
	for _, tool := range tools {
		if !installed(tool) {
			fmt.Fprintf(&missing, "\n  %s: %s", tool, hints[tool])
		}
	}
	if missing.Len() > 0 {
		return fmt.Errorf("these tools are missing; install them and try again:%s", missing.String())
	}
	return nil
}

// output runs a command and returns what it prints. The error contains the command's own message.
func output(ctx context.Context, name string, arguments ...string) (string, error) {
	return outputOf(exec.CommandContext(ctx, name, arguments...))
}

func outputOf(command *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		message := bytes.TrimSpace(stderr.Bytes())
		if len(message) == 0 {
			message = bytes.TrimSpace(stdout.Bytes())
		}
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(command.Args, " "), err, message)
	}
	return stdout.String(), nil
}

// within calls ok every second until it returns true. It returns false after the time limit.
func within(ctx context.Context, limit time.Duration, ok func(context.Context) bool) bool {
	over := time.After(limit)
	for {
		if ok(ctx) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-over:
			return false
		case <-time.After(time.Second):
		}
	}
}
