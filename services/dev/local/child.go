package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"shopstream/services/internal/retry"
)

// child keeps one service running.
type child struct {
	service
	bin     string   // folder of the binaries
	environ []string // common to all services
	out     *stream
	log     *slog.Logger
	hurry   context.Context // when it ends, the process is killed
	bound   time.Duration   // time limit of a drain

	mu      sync.Mutex
	process *os.Process // nil while none runs

	wasReady chan struct{} // closed when first ready
	ready    func()
	// undrained is why the process did not stop properly when it was asked to. It is
	// read after supervise has returned.
	undrained error
}

func newChild(s service, bin string, environ []string, c *console, log *slog.Logger, hurry context.Context, bound time.Duration) *child {
	k := &child{service: s, bin: bin, environ: environ, out: c.stream(s.name), log: log.With("of", s.name), hurry: hurry, bound: bound, wasReady: make(chan struct{})}
	k.ready = sync.OnceFunc(func() { close(k.wasReady) })
	return k
}

// supervise runs the service until ctx ends, and restarts it whenever it ends by itself. A
// service that ends before it was ever ready has a faulty setup, which a restart would
// only hide.
func (c *child) supervise(ctx context.Context) error {
	// On Linux a child is killed when the thread that started it ends (see isolate): that
	// thread must live as long as the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	for failures := 0; ; {
		started := time.Now()
		err := c.once(ctx)
		switch {
		case ctx.Err() != nil, c.hurry.Err() != nil:
			c.undrained = c.drained(err)
			return nil
		case !closed(c.wasReady):
			return fmt.Errorf("%s ended before it was ready: %w", c.name, cause(err))
		case c.finishes && err == nil:
			c.log.Info("finished")
			<-ctx.Done()
			return nil
		}
		failures = failuresInARow(failures, time.Since(started))
		pause := restarts.After(failures)
		c.log.Warn("ended, will be restarted", "error", cause(err), "in", pause)
		if !retry.Sleep(ctx, pause) {
			return nil
		}
	}
}

// once runs the process until it ends. When ctx ends, the process has the time limit to
// drain and is then killed.
func (c *child) once(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, c.name))
	cmd.Env = append(append([]string{}, c.environ...), c.env...)
	cmd.Env = append(cmd.Env, "HTTP_ADDR="+string(c.addr))
	cmd.Stdout, cmd.Stderr = c.out, c.out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = c.bound
	isolate(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	c.log.Debug("started", "pid", cmd.Process.Pid)
	c.runs(cmd.Process)
	defer c.runs(nil)
	stopHurrying := context.AfterFunc(c.hurry, func() { _ = cmd.Process.Kill() })
	defer stopHurrying()

	polling, stopPolling := context.WithCancel(ctx)
	defer stopPolling()
	go c.awaitReady(polling, cmd.Process.Pid)

	defer c.out.flush()
	return cmd.Wait()
}

func (c *child) runs(p *os.Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.process = p
}

// signal sends a signal to the process, if one runs.
func (c *child) signal(s os.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return nil
	}
	if err := c.process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signalling %s: %w", c.name, err)
	}
	return nil
}

// awaitReady polls the process until it is ready.
func (c *child) awaitReady(ctx context.Context, pid int) {
	client := http.Client{Timeout: time.Second}
	start := time.Now()
	for ctx.Err() == nil {
		if isReady(ctx, &client, c.url("/-/ready")) {
			c.log.Info("ready", "pid", pid, "after", time.Since(start).Round(time.Millisecond))
			c.ready()
			return
		}
		retry.Sleep(ctx, 50*time.Millisecond)
	}
}

func isReady(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// drained judges how a process that was asked to stop has ended.
func (c *child) drained(err error) error {
	switch {
	// Wait returns this if the process was asked to stop and did so cleanly, or had only
	// just started.
	case err == nil, errors.Is(err, context.Canceled), endedBy(err, syscall.SIGTERM):
		return nil
	case c.hurry.Err() != nil:
		return fmt.Errorf("%s was killed before it had drained", c.name)
	case errors.Is(err, exec.ErrWaitDelay), endedBy(err, syscall.SIGKILL):
		return fmt.Errorf("%s did not drain within STOP_TIMEOUT %s and was killed", c.name, c.bound)
	}
	return fmt.Errorf("%s did not stop cleanly: %w", c.name, err)
}

func endedBy(err error, signal syscall.Signal) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == signal
}

func cause(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w (is the file executable?)", err)
	}
	return err
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// healthyAfter is how long a process must have run to count as healthy. When it ends
// after that, it is a new fault.
const healthyAfter = 20 * time.Second

// failuresInARow counts another failure of a process that ran for lived.
func failuresInARow(before int, lived time.Duration) int {
	if lived >= healthyAfter {
		return 1
	}
	return before + 1
}

// restarts sets the waits between restarts of a process that keeps ending.
var restarts = retry.Backoff{First: 500 * time.Millisecond, Last: 10 * time.Second}
