package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// stage is what the entrants run on: the brokers, and where the programs are.
type stage struct {
	bin     string // folder of the services' binaries
	self    string // this program, which contains the peers
	servers string
	kafka   string // what the table says about the brokers
	admin   *kadm.Client
	topics  int // created so far
	close   func()
	// fetches returns how many fetches the embedded broker has had; nil if it isn't used.
	fetches func() (int64, error)
}

// newStage connects to the brokers of KAFKA_BOOTSTRAP_SERVERS, or starts the embedded one.
func newStage(ctx context.Context, bin string) (*stage, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	s := &stage{bin: bin, self: self, servers: os.Getenv("KAFKA_BOOTSTRAP_SERVERS"), kafka: "the brokers of KAFKA_BOOTSTRAP_SERVERS", close: func() {}}
	if s.servers == "" {
		p, err := s.part(ctx, "broker")
		if err != nil {
			return nil, err
		}
		if s.servers, err = p.line(); err != nil {
			return nil, err
		}
		s.kafka, s.close = "the embedded broker", func() { _ = p.stop() }
		s.fetches = func() (int64, error) {
			line, err := p.ask("fetches")
			if err != nil {
				return 0, err
			}
			return strconv.ParseInt(line, 10, 64)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(s.servers, ",")...))
	if err != nil {
		s.close()
		return nil, fmt.Errorf("connecting to the brokers: %w", err)
	}
	s.admin = kadm.NewClient(client)
	stop := s.close
	s.close = func() { client.Close(); stop() }
	return s, nil
}

// topic creates a topic of six partitions. drop deletes it, to free the broker's memory.
func (s *stage) topic(ctx context.Context, prefix string) (name string, drop func(), err error) {
	return s.topicOf(ctx, prefix, 6)
}

func (s *stage) topicOf(ctx context.Context, prefix string, partitions int) (name string, drop func(), err error) {
	s.topics++
	name = fmt.Sprintf("bench-%s-%d-%d", prefix, os.Getpid(), s.topics)
	if _, err := s.admin.CreateTopic(ctx, int32(partitions), -1, nil, name); err != nil {
		return "", nil, fmt.Errorf("creating the topic %s: %w", name, err)
	}
	return name, func() { _, _ = s.admin.DeleteTopic(context.WithoutCancel(ctx), name) }, nil
}

// holds returns an error unless a topic has exactly as many records: what is fast must
// be stored, and once. Without a topic there is nothing to check.
func (s *stage) holds(ctx context.Context, topic string, acknowledged int64) error {
	if topic == "" {
		return nil
	}
	ends, err := s.admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("counting the records of %s: %w", topic, err)
	}
	var records int64
	ends.Each(func(o kadm.ListedOffset) { records += o.Offset })
	if records != acknowledged {
		return fmt.Errorf("%d purchases were acknowledged, %s has %d", acknowledged, topic, records)
	}
	return nil
}

// part starts a part of this program.
func (s *stage) part(ctx context.Context, arguments ...string) (*process, error) {
	return start(ctx, s.self, []string{}, arguments...)
}

// peer runs a peer to its end.
func (s *stage) peer(ctx context.Context, arguments ...string) (m measured, err error) {
	p, err := s.part(ctx, arguments...)
	if err != nil {
		return m, err
	}
	line, err := p.line()
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		return m, fmt.Errorf("reading what %s measured: %w", arguments[0], err)
	}
	return m, p.wait()
}

// service starts a service's binary.
func (s *stage) service(ctx context.Context, name string, environ ...string) (*process, error) {
	environ = append([]string{"KAFKA_BOOTSTRAP_SERVERS=" + s.servers, "HTTP_ADDR=127.0.0.1:0", "LOG_FORMAT=json", "GIN_MODE=release"}, environ...)
	return start(ctx, filepath.Join(s.bin, name), environ)
}

// logged reads the log until a line with this message, and returns one of its attributes.
func (p *process) logged(message, attribute string) (any, error) {
	var before []string
	for {
		text, err := p.line()
		if err != nil {
			return nil, fmt.Errorf("%w, after:\n%s", err, strings.Join(before, "\n"))
		}
		before = append(before, text)
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil && line["msg"] == message {
			return line[attribute], nil
		}
	}
}

// serving waits until a service listens, and returns its address.
func (p *process) serving() (string, error) {
	addr, err := p.logged("serving", "addr")
	if err != nil {
		return "", err
	}
	p.drain()
	return fmt.Sprint(addr), nil
}

// ready waits until a service says that it is.
func ready(ctx context.Context, addr string) error {
	return await(ctx, "it is ready", 10*time.Millisecond, func() (bool, error) {
		_, err := get(ctx, "http://"+addr+"/-/ready")
		return err == nil, nil
	})
}

// get returns the body of an answer: 200, or another code that is allowed.
func get(ctx context.Context, url string, allowed ...int) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("asking %s: %w", url, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("asking %s: %w", url, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("reading the answer of %s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK && !slices.Contains(allowed, response.StatusCode) {
		return "", fmt.Errorf("%s answers %s", url, response.Status)
	}
	return string(body), nil
}

// counter reads a counter without labels from a service's metrics; absent, it is 0.
func counter(ctx context.Context, addr, name string) (int, error) {
	text, err := get(ctx, "http://"+addr+"/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				return 0, fmt.Errorf("reading %s: %w", name, err)
			}
			return int(n), nil
		}
	}
	return 0, nil
}

// patience is the time limit of one entrant's run.
const patience = 5 * time.Minute

func await(ctx context.Context, what string, pause time.Duration, condition func() (bool, error)) error {
	for deadline := time.Now().Add(patience); ; {
		met, err := condition()
		switch {
		case err != nil:
			return fmt.Errorf("waiting until %s: %w", what, err)
		case met:
			return nil
		case time.Now().After(deadline):
			return errors.New("gave up waiting until " + what)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drained waits until a service has counted count messages, stops it, and returns its
// rate and CPU time between the first and the last look at its metrics while it was at
// work: neither its start nor the pause between looks matters.
func drained(ctx context.Context, p *process, addr, name string, count int) (sample, error) {
	type look struct {
		at  time.Time
		cpu time.Duration
		n   int
	}
	var looks []look
	err := await(ctx, fmt.Sprintf("%s is %d", name, count), 50*time.Millisecond, func() (bool, error) {
		n, err := counter(ctx, addr, name)
		if err != nil {
			return false, err
		}
		if n > 0 && n < count || n >= count && len(looks) < 2 {
			used, err := p.processorTimeSoFar()
			if err != nil {
				return false, err
			}
			looks = append(looks, look{time.Now(), used, n})
		}
		return n >= count, nil
	})
	if err = errors.Join(err, p.stop()); err != nil {
		return sample{}, err
	}
	if len(looks) < 2 {
		return sample{}, fmt.Errorf("%s was done too soon to be measured: give it more messages", p.name)
	}
	first, last := looks[0], looks[len(looks)-1]
	n := float64(last.n - first.n)
	return sample{Rate: n / last.at.Sub(first.at).Seconds(), CPU: (last.cpu - first.cpu).Seconds() * 1e6 / n}, nil
}
