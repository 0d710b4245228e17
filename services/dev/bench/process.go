package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program under test, a peer, or what they connect to.
type process struct {
	name   string
	cmd    *exec.Cmd
	lines  *bufio.Scanner // its stdout
	errors *bytes.Buffer  // its stderr
	stdin  io.WriteCloser
	rest   chan struct{} // if drain was called: closed once the output has ended
}

// start starts a program with only the given environment. It is stopped when ctx ends.
func start(ctx context.Context, path string, environ []string, arguments ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, path, arguments...)
	cmd.Env = environ
	p := &process{name: filepath.Base(path), cmd: cmd, errors: &bytes.Buffer{}}
	cmd.Cancel = p.end
	cmd.WaitDelay = 20 * time.Second
	cmd.Stderr = p.errors
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	// The parts of this program end when their stdin does, so that none is left if this
	// process is killed.
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	p.lines = bufio.NewScanner(stdout)
	p.lines.Buffer(nil, 1<<20)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s (make build): %w", p.name, err)
	}
	return p, nil
}

// line returns the next line of its output.
func (p *process) line() (string, error) {
	if p.lines.Scan() {
		return p.lines.Text(), nil
	}
	return "", fmt.Errorf("%s ended early: %w", p.name, p.wait())
}

// ask sends a line to a part of this program, and returns the line that it answers.
func (p *process) ask(question string) (string, error) {
	if _, err := fmt.Fprintln(p.stdin, question); err != nil {
		return "", fmt.Errorf("asking %s: %w", p.name, err)
	}
	return p.line()
}

// status returns a line of /proc/PID/status that is an amount of memory, in MiB: VmRSS is what it
// has, VmHWM the most that it has had.
func (p *process) status(name string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("reading the memory of %s (the measurement needs Linux): %w", p.name, err)
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes float64
		if n, _ := fmt.Sscanf(line, name+": %f kB", &kilobytes); n == 1 {
			return kilobytes / 1024, nil
		}
	}
	return 0, fmt.Errorf("%s has no %s", p.name, name)
}

// drain discards the rest of its output, so that it never waits for this process.
func (p *process) drain() {
	p.rest = make(chan struct{})
	go func() {
		defer close(p.rest)
		for p.lines.Scan() {
		}
	}()
}

// end asks it to end: a service by the signal, a part of this program by its stdin.
func (p *process) end() error {
	_ = p.stdin.Close()
	return p.cmd.Process.Signal(syscall.SIGTERM)
}

// stop stops it and waits.
func (p *process) stop() error {
	if err := p.end(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", p.name, err)
	}
	err := p.wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGTERM {
			return nil // one of the parts, which have nothing to finish
		}
	}
	return err
}

func (p *process) wait() error {
	if p.rest == nil {
		p.drain()
	}
	<-p.rest // Wait must not be called before all output is read
	err := p.cmd.Wait()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", p.name, err, bytes.TrimSpace(p.errors.Bytes()))
	}
	return nil
}

// processorTime is what an ended process has used.
func (p *process) processorTime() time.Duration {
	state := p.cmd.ProcessState
	return state.UserTime() + state.SystemTime()
}

// ticks is the unit of /proc/PID/stat, which is the same on every architecture that Go
// supports.
const tick = time.Second / 100

// processorTimeSoFar is what a running process has used.
func (p *process) processorTimeSoFar() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("reading the CPU time of %s (the measurement needs Linux): %w", p.name, err)
	}
	// The second field is the name, which may contain anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var total time.Duration
	for _, field := range fields[11:13] { // utime and stime, the 14th and 15th of all
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the CPU time of %s: %w", p.name, err)
		}
		total += time.Duration(n) * tick
	}
	return total, nil
}
