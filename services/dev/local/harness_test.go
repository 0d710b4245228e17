package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"shopstream/services/internal/testkit/freeport"
)

// binDir is the folder for the real binaries; build fills it.
var binDir string

func TestMain(m *testing.M) {
	if os.Getenv("STUB") != "" {
		os.Exit(stub()) // this test binary runs as a stand-in for a service
	}
	os.Exit(inBinDir(m))
}

func inBinDir(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shopstream-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a folder for the binaries:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binDir = dir
	return m.Run()
}

// build builds the real binaries, once for all tests of the package.
var build = sync.OnceValue(func() error {
	start := time.Now()
	cmd := exec.Command("go", "build", "-ldflags=-w", "-o", binDir+"/", ".", "../../topics", "../../web-server", "../../management-api", "../../api", "../../producer", "../../consumer")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the binaries: %w\n%s", err, out)
	}
	fmt.Fprintf(os.Stderr, "binaries built in %s\n", time.Since(start).Round(time.Millisecond))
	return os.Chmod(binDir, 0o755) // another user runs them in a test
})

// built returns the folder of the real binaries.
func built(t *testing.T) string {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	return binDir
}

// platform is a run of the local binary.
type platform struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   *output
	ended chan struct{} // closed when the process has ended
	env   map[string]string
	start time.Time
}

// setup says how a platform differs from a plain `make run`.
type setup struct {
	bin string            // folder of the binaries; the real ones' if empty
	env map[string]string // in addition to free ports and a data folder for the test
	as  *syscall.SysProcAttr
}

// launch starts local and returns at once.
func launch(t *testing.T, o setup) *platform {
	t.Helper()
	if o.bin == "" {
		o.bin = built(t)
	}
	p := &platform{t: t, out: &output{}, ended: make(chan struct{}), start: time.Now(), env: map[string]string{
		"WEB_SERVER_ADDR":     freeport.Addr(t),
		"MANAGEMENT_API_ADDR": freeport.Addr(t),
		"API_ADDR":            freeport.Addr(t),
		"PRODUCER_ADDR":       freeport.Addr(t),
		"CONSUMER_ADDR":       freeport.Addr(t),
		"SYSTEM_ADDR":         freeport.Addr(t),
		"KAFKA_PORT":          port(freeport.Addr(t)),
		"MONGO_PORT":          port(freeport.Addr(t)),
	}}
	if o.env["DATA_DIR"] == "" {
		p.env["DATA_DIR"] = t.TempDir()
	}
	for name, value := range o.env {
		p.env[name] = value
	}
	p.cmd = exec.Command(filepath.Join(o.bin, "local"))
	for _, kv := range os.Environ() {
		// Broker and database are embedded unless the test sets other ones.
		if !strings.HasPrefix(kv, "KAFKA_BOOTSTRAP_SERVERS=") && !strings.HasPrefix(kv, "MONGO_URI=") {
			p.cmd.Env = append(p.cmd.Env, kv)
		}
	}
	for name, value := range p.env {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = o.as
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("output of local:\n%s", p.out.tail(200))
		}
	})
	return p
}

// up starts local and waits until everything is ready.
func up(t *testing.T, o setup) *platform {
	t.Helper()
	p := launch(t, o)
	p.await("shopstream is up")
	return p
}

// await waits for a text in the output.
func (p *platform) await(text string) {
	p.t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for !strings.Contains(p.out.String(), text) {
		select {
		case <-p.ended:
			if !strings.Contains(p.out.String(), text) {
				p.t.Fatalf("local ended without printing %q", text)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("local did not print %q", text)
		}
	}
}

// stop stops local as Ctrl-C does, and expects no error.
func (p *platform) stop() {
	p.t.Helper()
	start := time.Now()
	p.signal(os.Interrupt)
	if code := p.exit(); code != 0 {
		p.t.Fatalf("exit code %d after Ctrl-C", code)
	}
	p.t.Logf("stopped in %s", time.Since(start).Round(time.Millisecond))
}

// exit waits until local has ended, and returns the exit code.
func (p *platform) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(60 * time.Second):
		p.t.Fatal("local did not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *platform) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// url returns the URL of a service, given its variable.
func (p *platform) url(variable, path string) string { return "http://" + p.env[variable] + path }

// pids returns the ids of all processes that a service has had, oldest first; each is
// logged when it is ready.
func (p *platform) pids(service string) []int {
	var pids []int
	for _, match := range regexp.MustCompile(`msg=ready service=local of=`+service+` pid=(\d+)`).FindAllStringSubmatch(p.out.String(), -1) {
		pid, _ := strconv.Atoi(match[1])
		pids = append(pids, pid)
	}
	return pids
}

// killed kills the service's newest process as a crash would, and returns how many it has
// had.
func (p *platform) killed(service string) int {
	p.t.Helper()
	pids := p.pids(service)
	if len(pids) == 0 {
		p.t.Fatalf("%s was never ready", service)
	}
	if err := syscall.Kill(pids[len(pids)-1], syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		p.t.Fatal(err)
	}
	return len(pids)
}

// awaitNewer waits until the service is ready in a process after the first n.
func (p *platform) awaitNewer(service string, n int) {
	p.t.Helper()
	eventually(p.t, 30*time.Second, func() error {
		if got := len(p.pids(service)); got <= n {
			return fmt.Errorf("%s had %d processes, want more than %d", service, got, n)
		}
		return nil
	})
}

// eventually repeats attempt until it succeeds.
func eventually(t *testing.T, bound time.Duration, attempt func() error) {
	t.Helper()
	deadline := time.Now().Add(bound)
	for {
		err := attempt()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", bound, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func port(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// output collects a process's output.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (o *output) tail(lines int) string {
	all := strings.Split(o.String(), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
