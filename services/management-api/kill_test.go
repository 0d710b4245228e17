package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// The process is killed during batches, several times, and everything is stored once. It
// is the real binary, because only a process can be killed.
func TestKilledDuringBatches(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "management-api")
	build := exec.Command("go", "build", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	p := newPlatform(t)
	const total, kills = 6000, 3
	events, records := purchases(t, p.topic, total)
	p.kafka.Produce(t, records...)

	for range kills {
		begun := p.storedCount(t)
		process, _ := p.spawn(t, binary)
		// During a batch: some of this process's purchases are stored, and the batch size
		// leaves more in flight. The group first waits for its dead member.
		eventually(t, "some stored", func() bool { return p.storedCount(t) > begun+50 })
		if err := process.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = process.Wait()
	}
	process, s := p.spawn(t, binary)
	p.wantStored(t, events)
	p.wantCommitted(t)
	t.Logf("the last life stored %v and met %v already stored", s.metric(t, "purchases_stored_total"), s.metric(t, "purchases_duplicate_total"))
	if letters := p.kafka.Read(t, p.dlq); len(letters) > 0 {
		t.Errorf("%d dead letters, want none", len(letters))
	}
	// And an orderly stop: exit code 0 after SIGTERM.
	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- process.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	case <-time.After(15 * time.Second):
		t.Error("it does not end after SIGTERM")
	}
}

// spawn starts the real binary, and kills it at the end of the test.
func (p *platform) spawn(t *testing.T, binary string) (*exec.Cmd, *service) {
	t.Helper()
	c := exec.Command(binary)
	c.Env = append(os.Environ(), p.environ("BATCH_SIZE=100")...)
	out := newLines(t)
	c.Stdout = out
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.ProcessState == nil {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	})
	line := out.await(t, nil, message("serving"))
	return c, &service{url: "http://" + line["addr"].(string), logs: out}
}

func TestABrokenStartEndsTheProcess(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := run(t.Context(), append(p.environ(), "HTTP_ADDR="+taken.Addr().String()), t.Output()); err == nil {
		t.Error("it runs on a port in use")
	}
}
