// Package cluster runs Apache Kafka's own brokers on loopback, with the environment that
// the Pulumi program declares for them. It starts kafka.docker.KafkaDockerWrapper, as the
// official image does: a wrong KAFKA_* variable fails here as it would there.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/retry"
	"shopstream/services/internal/testkit/freeport"
)

// Options configure a cluster.
type Options struct {
	// Manifest declares the brokers.
	Manifest Manifest
	// Dir gets a folder for each node: its configuration, data and log.
	Dir string
	// Route, if set, returns the address under which a node is reached, such as that of a
	// proxy. from is who connects: a node to its controllers, Clients, or Brokers to each
	// other. It gets the real address.
	Route func(from, to int, real string) string
	// Secrets are those that the manifest refers to, if the brokers are secured.
	Secrets Secrets
	// Env overrides the manifest's environment.
	Env map[string]string
	// Release is the release of Kafka, such as 4.1.2; empty is the current one.
	Release string
}

// Who connects to a node, besides single nodes.
const (
	Clients = -1
	Brokers = -2
)

// Cluster is a set of running brokers.
type Cluster struct {
	options Options
	java    string
	jars    string
	client  int
	ports   map[[2]int]string // by node and declared port
	nodes   []*node
}

type node struct {
	dir string
	env map[string]string

	mu      sync.Mutex
	process *exec.Cmd
	exited  chan struct{}
}

// Start starts all nodes and waits until each of them serves clients.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	java, err := Java(ctx)
	if err != nil {
		return nil, err
	}
	c := &Cluster{options: o, java: java, ports: map[[2]int]string{}}
	if err := c.Use(ctx, o.Release); err != nil {
		return nil, err
	}
	if err := c.add(ctx, o.Manifest.replicas); err != nil {
		return nil, err
	}
	for i := range c.nodes {
		if err := c.StartNode(i); err != nil {
			c.Close()
			return nil, err
		}
	}
	if err := c.AwaitBrokers(ctx, len(c.nodes)); err != nil {
		c.Close()
		return nil, err
	}
	if err := c.checkSettings(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Use has nodes that are started from now on run another release of Kafka; empty is
// the current one.
func (c *Cluster) Use(ctx context.Context, release string) error {
	jars, err := Jars(ctx, release)
	if err != nil {
		return err
	}
	c.jars = jars
	return nil
}

func (c *Cluster) route(from, to int, real string) string {
	if c.options.Route == nil || from == to {
		return real
	}
	return c.options.Route(from, to, real)
}

// add prepares the storage and the configuration of more nodes.
func (c *Cluster) add(ctx context.Context, count int) error {
	o, first := c.options, len(c.nodes)
	for i := first; i < first+count; i++ {
		dir := filepath.Join(o.Dir, fmt.Sprintf("kafka-%d", i))
		env, err := o.Manifest.environment(i, o.Secrets, dir)
		if err != nil {
			return fmt.Errorf("configuring node %d: %w", i, err)
		}
		if c.client, err = clientPort(env); err != nil {
			return fmt.Errorf("configuring node %d: %w", i, err)
		}
		c.nodes = append(c.nodes, &node{dir: dir, env: withoutVote(env, i)})
	}
	var missing error
	listen := func(node, port int) string {
		addr, err := c.address(node, port)
		missing = errors.Join(missing, err)
		return addr
	}
	advertise := func(node, port int) string {
		if port == c.client {
			return c.route(Clients, node, listen(node, port))
		}
		return c.route(Brokers, node, listen(node, port))
	}
	added := c.nodes[first:]
	for i, n := range added {
		voter := func(node, port int) string { return c.route(first+i, node, listen(node, port)) }
		n.env = onLoopback(n.env, first+i, filepath.Join(n.dir, "data"), listen, voter, advertise)
		maps.Copy(n.env, o.Env)
	}
	if missing != nil {
		return missing
	}
	var wg sync.WaitGroup
	faults := make([]error, len(added))
	for i, n := range added {
		wg.Go(func() { faults[i] = c.format(ctx, n) })
	}
	wg.Wait()
	return errors.Join(faults...)
}

// address maps a node's declared port to a free port of loopback, once.
func (c *Cluster) address(node, port int) (string, error) {
	key := [2]int{node, port}
	if addr, ok := c.ports[key]; ok {
		return addr, nil
	}
	free, err := freeport.Find()
	if err != nil {
		return "", err
	}
	c.ports[key] = fmt.Sprintf("127.0.0.1:%d", free)
	return c.ports[key], nil
}

// format does what the image does before it starts the broker: it writes
// server.properties from the environment, and formats the storage.
func (c *Cluster) format(ctx context.Context, n *node) error {
	for _, dir := range []string{"default", "mounted", "final", "data"} {
		if err := os.MkdirAll(filepath.Join(n.dir, dir), 0o755); err != nil {
			return fmt.Errorf("making %s: %w", n.dir, err)
		}
	}
	for name, content := range map[string]string{"server.properties": "", "log4j2.yaml": logging, "tools-log4j2.yaml": logging} {
		if err := os.WriteFile(filepath.Join(n.dir, "default", name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	at := func(dir string) string { return filepath.Join(n.dir, dir) }
	setup := exec.CommandContext(ctx, c.java, "-Xmx256m", "-cp", filepath.Join(c.jars, "*"),
		"-Dlog4j2.configurationFile="+filepath.Join(n.dir, "default", "log4j2.yaml"),
		"kafka.docker.KafkaDockerWrapper", "setup", "-D", at("default"), "-M", at("mounted"), "-F", at("final"))
	setup.Env = n.environ()
	if output, err := setup.CombinedOutput(); err != nil {
		return fmt.Errorf("setting up %s: %w: %s", filepath.Base(n.dir), err, output)
	}
	return nil
}

// environ returns the node's environment, with only those of this process's variables that
// a program needs to run: no other KAFKA_* variable may reach the wrapper.
func (n *node) environ() []string {
	environ := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for key, value := range n.env {
		environ = append(environ, key+"="+value)
	}
	return environ
}

const logging = `Configuration:
  Appenders:
    Console:
      name: STDOUT
      target: SYSTEM_OUT
      PatternLayout:
        pattern: "%d{ISO8601} %p %m (%c)%n"
  Loggers:
    Root:
      level: INFO
      AppenderRef:
        - ref: STDOUT
`

// Nodes returns the number of nodes.
func (c *Cluster) Nodes() int { return len(c.nodes) }

// Address returns the address where node i listens, not that of a proxy.
func (c *Cluster) Address(i int) string { return c.ports[[2]int{i, c.client}] }

// Listener returns the address where node i listens for a port of the manifest.
func (c *Cluster) Listener(i, port int) string { return c.ports[[2]int{i, port}] }

// BootstrapServers returns the nodes' advertised addresses, for clients.
func (c *Cluster) BootstrapServers() string {
	var servers []string
	for i := range c.nodes {
		servers = append(servers, c.route(Clients, i, c.Address(i)))
	}
	return strings.Join(servers, ",")
}

// Property returns a line of the server.properties that the wrapper wrote.
func (c *Cluster) Property(i int, key string) (string, error) {
	data, err := os.ReadFile(filepath.Join(c.nodes[i].dir, "final", "server.properties"))
	if err != nil {
		return "", fmt.Errorf("reading node %d's properties: %w", i, err)
	}
	for line := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && k == key {
			return v, nil
		}
	}
	return "", fmt.Errorf("node %d has no property %q", i, key)
}

// StartNode starts a stopped node. It does not wait for it.
func (c *Cluster) StartNode(i int) error {
	n := c.nodes[i]
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil {
		return fmt.Errorf("node %d is running", i)
	}
	log, err := os.OpenFile(n.LogPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening node %d's log: %w", i, err)
	}
	defer log.Close() // the process has its own descriptor
	arguments := append(strings.Fields(n.env["KAFKA_HEAP_OPTS"]), strings.Fields(n.env["KAFKA_OPTS"])...)
	arguments = append(arguments, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", // for several JVMs on few cores
		"-cp", filepath.Join(c.jars, "*"), "-Dlog4j2.configurationFile="+filepath.Join(n.dir, "final", "log4j2.yaml"),
		"kafka.Kafka", filepath.Join(n.dir, "final", "server.properties"))
	process := exec.Command(c.java, arguments...)
	process.Env, process.Stdout, process.Stderr = n.environ(), log, log
	process.SysProcAttr = EndWithParent()
	if err := process.Start(); err != nil {
		return fmt.Errorf("starting node %d: %w", i, err)
	}
	exited := make(chan struct{})
	n.process, n.exited = process, exited
	go func() {
		_ = process.Wait() // usually killed on purpose
		n.mu.Lock()
		n.process = nil
		n.mu.Unlock()
		close(exited)
	}()
	return nil
}

// Wipe deletes and formats the storage of a stopped node, as if its volume was replaced.
func (c *Cluster) Wipe(ctx context.Context, i int) error {
	n := c.nodes[i]
	if err := os.RemoveAll(c.DataDir(i)); err != nil {
		return fmt.Errorf("wiping node %d: %w", i, err)
	}
	return c.format(ctx, n)
}

// LogPath returns the path of the node's log.
func (n *node) LogPath() string { return filepath.Join(n.dir, "broker.log") }

// Log returns the last lines of a node's log, for a failed test.
func (c *Cluster) Log(i, lines int) string {
	data, err := os.ReadFile(c.nodes[i].LogPath())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// DataDir returns the folder of a node's log segments.
func (c *Cluster) DataDir(i int) string { return c.nodes[i].env["KAFKA_LOG_DIRS"] }

// signal sends a signal to a node. For kill and stop it waits until the node has ended.
func (c *Cluster) signal(i int, sig syscall.Signal) error {
	n := c.nodes[i]
	n.mu.Lock()
	process, exited := n.process, n.exited
	n.mu.Unlock()
	if process == nil {
		return nil
	}
	if err := process.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signalling node %d: %w", i, err)
	}
	if sig == syscall.SIGKILL || sig == syscall.SIGTERM {
		<-exited
	}
	return nil
}

// Kill kills a node (-9) and waits until it has ended.
func (c *Cluster) Kill(i int) error { return c.signal(i, syscall.SIGKILL) }

// Stop shuts a node down with SIGTERM, as Kubernetes does, and waits.
func (c *Cluster) Stop(i int) error { return c.signal(i, syscall.SIGTERM) }

// Pause suspends a node: its connections stay open, but it doesn't answer.
func (c *Cluster) Pause(i int) error { return c.signal(i, syscall.SIGSTOP) }

// Resume resumes a paused node.
func (c *Cluster) Resume(i int) error { return c.signal(i, syscall.SIGCONT) }

// Close kills all nodes.
func (c *Cluster) Close() {
	for i := range c.nodes {
		_ = c.Kill(i)
	}
}

// Admin returns an independent client for the nodes' real addresses.
func (c *Cluster) Admin() (*kadm.Client, error) {
	client, err := c.connect()
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(client), nil
}

func (c *Cluster) connect() (*kgo.Client, error) {
	var servers []string
	for i := range c.nodes {
		servers = append(servers, c.Address(i))
	}
	options := []kgo.Opt{kgo.SeedBrokers(servers...), kgo.RetryTimeout(2 * time.Second)}
	if c.options.Secrets == nil {
		options = append(options, kgo.DialTimeout(time.Second))
	} else {
		options = append(options, c.options.Secrets.As(AdminUser)...)
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("connecting to the brokers: %w", err)
	}
	return client, nil
}

// Controller returns the node whose controller leads the quorum. Metadata may name any
// broker as the controller, so the quorum is asked.
func (c *Cluster) Controller(ctx context.Context) (int, error) {
	client, err := c.connect()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	partition := kmsg.NewDescribeQuorumRequestTopicPartition()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, partition)
	request := kmsg.NewPtrDescribeQuorumRequest()
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return 0, fmt.Errorf("requesting the quorum's leader: %w", err)
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("requesting the quorum's leader: no answer, error code %d", response.ErrorCode)
	}
	return c.Node(response.Topics[0].Partitions[0].LeaderID)
}

// Node returns the node with a broker's id.
func (c *Cluster) Node(id int32) (int, error) {
	for i := range c.nodes {
		if known, err := c.Property(i, "node.id"); err == nil && known == fmt.Sprint(id) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no node has the id %d", id)
}

// AwaitBrokers waits until that many brokers are registered.
func (c *Cluster) AwaitBrokers(ctx context.Context, count int) error {
	return c.await(ctx, fmt.Sprintf("%d registered brokers", count), func(ctx context.Context, client *kgo.Client) error {
		md, err := kadm.NewClient(client).BrokerMetadata(ctx)
		if err == nil && len(md.Brokers) != count {
			err = fmt.Errorf("registered: %v", md.Brokers.NodeIDs())
		}
		return err
	})
}

// AwaitInSync waits until, according to every node, each partition has a leader and all its
// replicas in sync. A rolling restart waits for that between two nodes. (An isolated node
// keeps reporting its old metadata.)
func (c *Cluster) AwaitInSync(ctx context.Context) error {
	return c.await(ctx, "all replicas in sync", func(ctx context.Context, client *kgo.Client) error {
		for i, node := range client.SeedBrokers() {
			response, err := node.Request(ctx, kmsg.NewPtrMetadataRequest())
			if err != nil {
				return fmt.Errorf("requesting metadata from node %d: %w", i, err)
			}
			for _, t := range response.(*kmsg.MetadataResponse).Topics {
				for _, p := range t.Partitions {
					if p.Leader < 0 || len(p.ISR) < len(p.Replicas) {
						return fmt.Errorf("node %d: partition %d of %s: leader %d, in sync %v of %v", i, p.Partition, *t.Topic, p.Leader, p.ISR, p.Replicas)
					}
				}
			}
		}
		return nil
	})
}

func (c *Cluster) await(ctx context.Context, what string, reached func(context.Context, *kgo.Client) error) error {
	for {
		err := c.attempt(ctx, reached)
		if err == nil {
			return nil
		}
		if !retry.Sleep(ctx, 200*time.Millisecond) {
			return fmt.Errorf("waiting for %s: %w (last: %w)", what, ctx.Err(), err)
		}
	}
}

// attempt uses a new client: an older one may answer metadata requests from its cache.
func (c *Cluster) attempt(ctx context.Context, reached func(context.Context, *kgo.Client) error) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return reached(ctx, client)
}
