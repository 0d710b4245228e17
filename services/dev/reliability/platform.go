package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"shopstream/services/dev/reliability/cluster"
	"shopstream/services/internal/retry"
	"shopstream/services/internal/testkit/freeport"
)

// platform is the real services as processes, with given brokers and a given database.
type platform struct {
	bin     string // folder of the binaries
	dir     string // folder of the logs
	environ []string

	mu        sync.Mutex
	processes map[string]*process
	revived   int      // processes that ended by themselves and were restarted
	crashes   []string // those of them that didn't end with status 1, after saying why
}

type process struct {
	name, binary string
	environ      []string
	addr         string // of its HTTP routes

	command *exec.Cmd
	exited  chan struct{}
	told    bool // whether it was told to end
}

func newPlatform(bin, dir, bootstrapServers, mongoURI string) *platform {
	return &platform{bin: bin, dir: dir, processes: map[string]*process{}, environ: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LOG_FORMAT=text",
		"KAFKA_BOOTSTRAP_SERVERS=" + bootstrapServers, "MONGO_URI=" + mongoURI,
	}}
}

// run runs a one-shot binary.
func (p *platform) run(ctx context.Context, binary string, environ []string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(p.bin, binary), arguments...)
	command.Env = append(append([]string{}, p.environ...), environ...)
	output, err := command.CombinedOutput()
	if err != nil {
		return string(output), fmt.Errorf("running %s: %w\n%s", binary, err, output)
	}
	return string(output), nil
}

// declareTopics creates the topics with the `topics` binary, as a deployment does.
func (p *platform) declareTopics(ctx context.Context, replication int, partitions map[string]int) error {
	declared, err := topicsDeclaration(replication, partitions)
	if err != nil {
		return err
	}
	_, err = p.run(ctx, "topics", []string{"TOPICS=" + declared})
	return err
}

// topicsDeclaration is the declaration for the topics binary, with 6 or 3 partitions each
// unless partitions says otherwise.
func topicsDeclaration(replication int, partitions map[string]int) (string, error) {
	type topic struct {
		Name              string            `json:"name"`
		Partitions        int               `json:"partitions"`
		ReplicationFactor int               `json:"replicationFactor"`
		Config            map[string]string `json:"config,omitempty"`
	}
	config := func(more map[string]string) map[string]string {
		if replication > 1 {
			more["min.insync.replicas"] = fmt.Sprint(replication - 1)
		}
		return more
	}
	count := func(name string, otherwise int) int {
		if n, ok := partitions[name]; ok {
			return n
		}
		return otherwise
	}
	declared, err := json.Marshal([]topic{
		{"purchases", count("purchases", 6), replication, config(map[string]string{})},
		{"purchases.dlq", 3, replication, config(map[string]string{})},
		{"orders", count("orders", 6), replication, config(map[string]string{})},
		{"orders.dlq", 3, replication, config(map[string]string{})},
		{"product-totals", 3, replication, config(map[string]string{"cleanup.policy": "compact"})},
	})
	if err != nil {
		return "", fmt.Errorf("declaring the topics: %w", err)
	}
	return string(declared), nil
}

// start starts an instance of a service. name identifies the instance; one that ran before
// keeps its address.
func (p *platform) start(name, binary string, environ ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.startLocked(name, binary, environ)
}

func (p *platform) startLocked(name, binary string, environ []string) error {
	var addr string
	if known, ok := p.processes[name]; ok {
		addr = known.addr
	} else {
		var err error
		if addr, err = freeAddress(); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(filepath.Join(p.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", name, err)
	}
	defer log.Close()
	command := exec.Command(filepath.Join(p.bin, binary))
	command.Env = append(append(append([]string{}, p.environ...), "HTTP_ADDR="+addr), environ...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = cluster.EndWithParent()
	if err := command.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	started := &process{name: name, binary: binary, environ: environ, addr: addr, command: command, exited: make(chan struct{})}
	go func() {
		_ = command.Wait() // usually killed on purpose
		close(started.exited)
		time.AfterFunc(time.Second, func() { p.revive(started) })
	}()
	p.processes[name] = started
	return nil
}

// revive restarts an instance that ended by itself, as the kubelet does.
func (p *platform) revive(ended *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ended.told || p.processes[ended.name] != ended {
		return
	}
	p.revived++
	if state := ended.command.ProcessState; state.ExitCode() != 1 {
		p.crashes = append(p.crashes, fmt.Sprintf("%s ended by itself: %s", ended.name, state))
	}
	_ = p.startLocked(ended.name, ended.binary, ended.environ) // whoever waits for it reports the error
}

// restarts returns how often instances ended by themselves.
func (p *platform) restarts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.revived
}

// crashed returns an error if an instance was ended by a signal or a panic, or ended
// without an error, though it was not told to.
func (p *platform) crashed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.crashes) == 0 {
		return nil
	}
	return errors.New(strings.Join(p.crashes, ", "))
}

// restart starts an instance again with the same environment, unless it was revived
// meanwhile.
func (p *platform) restart(name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.processes[name]
	if known == nil {
		return fmt.Errorf("restarting %s: it never ran", name)
	}
	select {
	case <-known.exited:
	default:
		return nil
	}
	return p.startLocked(name, known.binary, known.environ)
}

// end sends a signal that ends an instance, and waits until it has ended.
func (p *platform) end(name string, signal syscall.Signal) error {
	p.mu.Lock()
	known := p.processes[name]
	if known != nil {
		known.told = true
	}
	p.mu.Unlock()
	if known == nil {
		return fmt.Errorf("ending %s: it never ran", name)
	}
	if err := known.signal(signal); err != nil {
		return err
	}
	_ = known.signal(syscall.SIGCONT) // in case it is frozen
	select {
	case <-known.exited:
		return nil
	case <-time.After(90 * time.Second):
		_ = known.command.Process.Kill()
		return fmt.Errorf("%s did not end within 90 s of %s", name, signal)
	}
}

// freeze suspends an instance; thaw resumes it.
func (p *platform) freeze(name string) error { return p.signal(name, syscall.SIGSTOP) }
func (p *platform) thaw(name string) error   { return p.signal(name, syscall.SIGCONT) }

func (p *platform) signal(name string, signal syscall.Signal) error {
	p.mu.Lock()
	known := p.processes[name]
	p.mu.Unlock()
	if known == nil {
		return fmt.Errorf("signalling %s: it never ran", name)
	}
	return known.signal(signal)
}

func (p *process) signal(signal syscall.Signal) error {
	if err := p.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signalling %s: %w", p.name, err)
	}
	return nil
}

// endIfRunning ends an instance gracefully. It is not an error if it never ran.
func (p *platform) endIfRunning(name string) error {
	p.mu.Lock()
	known := p.processes[name]
	p.mu.Unlock()
	if known == nil {
		return nil
	}
	return p.end(name, syscall.SIGTERM)
}

// dump makes every instance write its goroutines' stacks to its log, and end.
func (p *platform) dump() {
	p.mu.Lock()
	names := slices.Collect(maps.Keys(p.processes))
	p.mu.Unlock()
	for _, name := range names {
		_ = p.end(name, syscall.SIGQUIT)
	}
}

// close ends everything that still runs, gracefully if possible.
func (p *platform) close() {
	p.mu.Lock()
	names := slices.Collect(maps.Keys(p.processes))
	p.mu.Unlock()
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() { _ = p.end(name, syscall.SIGTERM) })
	}
	wg.Wait()
}

// url returns an instance's URL.
func (p *platform) url(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return "http://" + p.processes[name].addr
}

// awaitReady waits until an instance is ready.
func (p *platform) awaitReady(ctx context.Context, name string) error {
	client := &http.Client{Timeout: 2 * time.Second}
	var last string
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url(name)+"/-/ready", nil)
		if err != nil {
			return fmt.Errorf("asking %s whether it is ready: %w", name, err)
		}
		if response, err := client.Do(request); err == nil {
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			last = string(body)
		}
		if !retry.Sleep(ctx, 100*time.Millisecond) {
			return fmt.Errorf("waiting for %s to be ready: %w (last: %s)", name, ctx.Err(), last)
		}
	}
}

// assigned returns the partitions that an instance consumes, by its metrics.
func (p *platform) assigned(ctx context.Context, name string) (partitions []int32) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url(name)+"/metrics", nil)
	if err != nil {
		return nil
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	for _, match := range lagMetric.FindAllSubmatch(body, -1) {
		partition, _ := strconv.Atoi(string(match[1]))
		partitions = append(partitions, int32(partition))
	}
	return partitions
}

var lagMetric = regexp.MustCompile(`kafka_consumer_lag\{partition="(\d+)",topic="(?:orders|purchases)"\}`)

// resident returns an instance's resident memory in bytes; 0 if it is unknown.
func (p *platform) resident(name string) int64 {
	p.mu.Lock()
	known := p.processes[name]
	p.mu.Unlock()
	if known == nil {
		return 0
	}
	var size, pages int64
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", known.command.Process.Pid))
	if err != nil {
		return 0
	}
	if _, err := fmt.Sscan(string(data), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

func freeAddress() (string, error) {
	port, err := freeport.Find()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("127.0.0.1:%d", port), nil
}
