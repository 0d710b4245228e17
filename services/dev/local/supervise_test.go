package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"shopstream/services/internal/testkit/freeport"
)

func TestStagesDrainInOrder(t *testing.T) {
	p := up(t, setup{bin: stubs(t), env: stubbed()})
	p.stop()
	out := p.out.String()
	at := func(text string) int {
		i := strings.LastIndex(out, text)
		if i < 0 {
			t.Fatalf("no %q in the output", text)
		}
		return i
	}
	first := max(at("web-server     | drained"), at("producer       | drained"))
	last := min(at("management-api | drained"), at("api            | drained"), at("consumer       | drained"))
	if first > last {
		t.Error("services that process events stopped before those that create them")
	}
}

func TestAServiceThatEndsIsStartedAgain(t *testing.T) {
	p := up(t, setup{bin: stubs(t), env: stubbed()})
	n := p.killed("api")
	p.awaitNewer("api", n)
	// An exit without an error is a fault too, except for a producer that has sent its
	// COUNT.
	_, _ = http.Get(p.url("CONSUMER_ADDR", "/exit/0"))
	p.awaitNewer("consumer", 1)
	_, _ = http.Get(p.url("PRODUCER_ADDR", "/exit/0"))
	p.await("msg=finished service=local of=producer")
	_, _ = http.Get(p.url("WEB_SERVER_ADDR", "/exit/1"))
	p.awaitNewer("web-server", 1)
	if n := len(p.pids("producer")); n != 1 {
		t.Errorf("the producer was started %d times", n)
	}
	p.stop()
}

func TestFailuresBeforeAHealthyTimeDontCount(t *testing.T) {
	if got := failuresInARow(3, healthyAfter-1); got != 4 {
		t.Errorf("the fourth failure in a row counts as number %d", got)
	}
	if got := failuresInARow(3, healthyAfter); got != 1 {
		t.Errorf("a failure after a healthy time counts as number %d", got)
	}
}

func TestAFaultySetupEndsTheStart(t *testing.T) {
	for _, name := range []string{"topics", "consumer"} {
		t.Run(name, func(t *testing.T) {
			p := launch(t, setup{bin: stubs(t), env: stubbed(name, "faulty")})
			if code := p.exit(); code != 1 {
				t.Errorf("exit code %d", code)
			}
			if out := p.out.String(); !strings.Contains(out, "faulty setup") || !strings.Contains(out, "exit status 3") {
				t.Error("the output has neither the service's message nor its exit status")
			}
			nothingLeft(t, p)
		})
	}
}

func TestAServiceThatNeverGetsReadyEndsTheStart(t *testing.T) {
	env := stubbed("api", "unready")
	env["START_TIMEOUT"] = "1s"
	p := launch(t, setup{bin: stubs(t), env: env})
	if code := p.exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if out := p.out.String(); !strings.Contains(out, "not ready within START_TIMEOUT 1s: api (see http://") {
		t.Error("the output does not say which service is not ready")
	}
	nothingLeft(t, p)
}

func TestADrainIsBounded(t *testing.T) {
	env := stubbed("web-server", "deaf")
	env["STOP_TIMEOUT"] = "1s"
	p := up(t, setup{bin: stubs(t), env: env})
	p.signal(os.Interrupt)
	if code := p.exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if out := p.out.String(); !strings.Contains(out, "web-server did not drain within STOP_TIMEOUT 1s and was killed") {
		t.Error("the output does not say which service was killed")
	}
	if !strings.Contains(p.out.String(), "management-api | drained") {
		t.Error("the others did not drain")
	}
	nothingLeft(t, p)
}

func TestASecondCtrlCEndsAtOnce(t *testing.T) {
	p := up(t, setup{bin: stubs(t), env: stubbed("web-server", "deaf")})
	p.signal(os.Interrupt)
	p.await("heard, and ignored")
	select {
	case <-p.ended:
		t.Fatal("ended before the deaf service did")
	default:
	}
	start := time.Now()
	p.signal(os.Interrupt)
	if code := p.exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	nothingLeft(t, p)
}

func TestCtrlCDuringTheStart(t *testing.T) {
	bin := stubs(t)
	for _, after := range []time.Duration{20 * time.Millisecond, 60 * time.Millisecond, 120 * time.Millisecond, 200 * time.Millisecond} {
		p := launch(t, setup{bin: bin, env: stubbed()})
		time.Sleep(after)
		p.signal(os.Interrupt)
		if code := p.exit(); code != 0 && code != -1 { // -1 if it had not started yet
			t.Errorf("exit code %d after Ctrl-C at %s:\n%s", code, after, p.out)
		}
		nothingLeft(t, p)
	}
}

func TestServicesDoNotOutliveACrash(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIP: only Linux ties children to the life of their parent")
	}
	p := up(t, setup{bin: stubs(t), env: stubbed()})
	p.signal(syscall.SIGKILL)
	p.exit()
	nothingLeft(t, p)
}

func TestAMissingBinaryIsNamed(t *testing.T) {
	bin := stubs(t)
	if err := os.Remove(filepath.Join(bin, "consumer")); err != nil {
		t.Fatal(err)
	}
	p := launch(t, setup{bin: bin, env: stubbed()})
	if code := p.exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if out := p.out.String(); !strings.Contains(out, "no consumer in "+bin+": build all binaries with `make build`") {
		t.Error("the output does not name the missing binary")
	}
}

func TestAPortInUseIsNamed(t *testing.T) {
	taken := map[string]string{}
	for _, variable := range []string{"API_ADDR", "KAFKA_PORT", "MONGO_PORT"} {
		l, err := net.Listen("tcp", freeport.Addr(t))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		taken[variable] = l.Addr().String()
	}
	env := stubbed()
	env["API_ADDR"] = taken["API_ADDR"]
	env["KAFKA_PORT"] = port(taken["KAFKA_PORT"])
	env["MONGO_PORT"] = port(taken["MONGO_PORT"])
	p := launch(t, setup{bin: stubs(t), env: env})
	if code := p.exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	// All of them at once, each with its owner and its variable.
	for variable, owner := range map[string]string{"API_ADDR": "api", "KAFKA_PORT": "the embedded broker", "MONGO_PORT": "the embedded database"} {
		want := "port " + port(taken[variable]) + " for " + owner + " is in use: stop the process that listens there, or choose another port with " + variable
		if !strings.Contains(p.out.String(), want) {
			t.Errorf("the output lacks %q", want)
		}
	}
}

func TestAnAddressOfAnotherMachineIsNamed(t *testing.T) {
	env := stubbed()
	env["API_ADDR"] = "192.0.2.1:3000"
	p := launch(t, setup{bin: stubs(t), env: env})
	if code := p.exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if want := "api can't listen there, choose another address with API_ADDR: listen tcp 192.0.2.1:3000"; !strings.Contains(p.out.String(), want) {
		t.Errorf("the output lacks %q", want)
	}
}

func TestOnePortForTwoIsNamed(t *testing.T) {
	addr := freeport.Addr(t)
	env := stubbed()
	env["API_ADDR"], env["PRODUCER_ADDR"] = addr, addr
	p := launch(t, setup{bin: stubs(t), env: env})
	if code := p.exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if want := "port " + port(addr) + " is configured for both"; !strings.Contains(p.out.String(), want) {
		t.Errorf("the output lacks %q", want)
	}
}

func TestASecondRunOnTheSameFolderIsRefused(t *testing.T) {
	bin := stubs(t)
	first := up(t, setup{bin: bin, env: stubbed()})
	env := stubbed()
	env["DATA_DIR"] = first.env["DATA_DIR"]
	second := launch(t, setup{bin: bin, env: env})
	if code := second.exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	want := "another run (process " + strconv.Itoa(first.cmd.Process.Pid) + ") uses the data folder " + env["DATA_DIR"]
	if !strings.Contains(second.out.String(), want) {
		t.Errorf("the output lacks %q", want)
	}
	first.stop()

	// A crash leaves the lock file, and the next run can still lock it.
	third := up(t, setup{bin: bin, env: env})
	third.signal(syscall.SIGKILL)
	third.exit()
	up(t, setup{bin: bin, env: env}).stop()
}

func TestAnUnusableDataFolderIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	foreign, as := notMine(t)
	half := t.TempDir() // writable, but its contents are not
	if err := os.Mkdir(filepath.Join(half, "kafka"), 0o500); err != nil {
		t.Fatal(err)
	}
	if as != nil {
		if err := os.Chown(half, int(as.Credential.Uid), -1); err != nil {
			t.Fatal(err)
		}
	}
	for name, dir := range map[string]string{"a file": file, "inside a file": filepath.Join(file, "data"), "no permission": foreign, "no permission inside": half} {
		t.Run(name, func(t *testing.T) {
			env := stubbed()
			env["DATA_DIR"] = dir
			p := launch(t, setup{bin: openTo(t, stubs(t)), env: env, as: as})
			if code := p.exit(); code != 1 {
				t.Errorf("exit code %d", code)
			}
			out := p.out.String()
			if !strings.Contains(out, "data folder") || !strings.Contains(out, strings.TrimSuffix(dir, "/data")) || !strings.Contains(out, "DATA_DIR") {
				t.Errorf("the output doesn't name the folder and its variable:\n%s", out)
			}
			nothingLeft(t, p)
		})
	}
}

// notMine returns a folder that local may not write to.
func notMine(t *testing.T) (string, *syscall.SysProcAttr) {
	t.Helper()
	dir := openTo(t, t.TempDir())
	if os.Geteuid() == 0 { // root ignores permissions
		return dir, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	return dir, nil
}

// openTo lets other users enter a temporary folder and its parents.
func openTo(t *testing.T, dir string) string {
	t.Helper()
	for path := dir; strings.HasPrefix(path, os.TempDir()+"/"); path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// nothingLeft checks that no port of the platform is still in use.
func nothingLeft(t *testing.T, p *platform) {
	t.Helper()
	addrs := []string{"127.0.0.1:" + p.env["KAFKA_PORT"], "127.0.0.1:" + p.env["MONGO_PORT"]}
	for _, variable := range []string{"WEB_SERVER_ADDR", "MANAGEMENT_API_ADDR", "API_ADDR", "PRODUCER_ADDR", "CONSUMER_ADDR"} {
		addrs = append(addrs, p.env[variable])
	}
	for _, addr := range addrs {
		eventually(t, 5*time.Second, func() error {
			l, err := net.Listen("tcp", addr)
			if err != nil {
				return err
			}
			return l.Close()
		})
	}
}
