package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// withKcat compares with kcat, which is librdkafka without Go: how much the language
// and its client cost. dir is for the messages that it sends.
func (s *stage) withKcat(kcat, dir, topic string, count int, producing, consuming comparison) ([]comparison, error) {
	values, err := orders(min(count, different))
	if err != nil {
		return nil, err
	}
	var lines bytes.Buffer
	for i := range count {
		lines.Write(values[i%len(values)])
		lines.WriteByte('\n')
	}
	file := filepath.Join(dir, "orders")
	if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
		return nil, fmt.Errorf("writing the orders that kcat sends: %w", err)
	}
	producing.peerName, consuming.peerName = "kcat -P", "kcat -C"
	producing.peer = s.toTopic("orders", func(written string) entrant {
		return func(ctx context.Context) (sample, error) {
			took, used, err := timed(ctx, kcat, "-P", "-b", s.servers, "-t", written,
				"-X", "acks=all", "-X", "enable.idempotence=true", "-X", "max.in.flight=1", "-X", "linger.ms=5", "-X", "compression.codec=lz4", "-l", file)
			return ofRun(count, took, used), err
		}
	})
	consuming.peer = func(ctx context.Context) (sample, error) {
		read := func(n int) (time.Duration, time.Duration, error) {
			return timed(ctx, kcat, "-C", "-b", s.servers, "-t", topic, "-o", "beginning", "-c", strconv.Itoa(n), "-q", "-f", "")
		}
		// Reading one message is its start, which doesn't count for the consumer either.
		start, idle, err := read(1)
		if err != nil {
			return sample{}, err
		}
		took, used, err := read(count)
		return ofRun(count, took-start, used-idle), err
	}
	producing.goals = []goal{{"events", "/s", rate, atLeast, .5}}
	consuming.goals = []goal{{"orders", "/s", rate, atLeast, .15}}
	return []comparison{producing, consuming}, nil
}

func ofRun(count int, took, used time.Duration) sample {
	return sample{Rate: float64(count) / took.Seconds(), CPU: used.Seconds() * 1e6 / float64(count)}
}

// timed runs a command to its end, and returns its elapsed and its CPU time.
func timed(ctx context.Context, path string, arguments ...string) (took, used time.Duration, err error) {
	cmd := exec.CommandContext(ctx, path, arguments...)
	began := time.Now()
	if output, err := cmd.CombinedOutput(); err != nil {
		return 0, 0, fmt.Errorf("running %s: %w: %s", filepath.Base(path), err, bytes.TrimSpace(output))
	}
	return time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}
