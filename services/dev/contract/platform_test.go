package contract

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// root is the repository's folder.
const root = "../../.."

// platform is a running platform.
type platform struct{ webServer, managementAPI, api string }

// environ returns its addresses as environment variables for a client.
func (p platform) environ() []string {
	return []string{"WEB_SERVER=" + p.webServer, "MANAGEMENT_API=" + p.managementAPI, "API=" + p.api}
}

// start starts the platform as `make run` does, on free ports and with its own data folder,
// until the test ends.
func start(t *testing.T) platform {
	t.Helper()
	build := exec.Command("make", "--silent", "build") // builds only what has changed
	build.Dir = root
	build.Env = append(os.Environ(), "MAKEFLAGS=", "GOWORK=") // the services are in the workspace, this module is not
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the platform: %v\n%s", err, out)
	}

	ports := freePorts(t, 8)
	local := exec.Command(root + "/bin/local")
	addr := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	local.Env = append(os.Environ(), "KAFKA_BOOTSTRAP_SERVERS=", "MONGO_URI=", "DATA_DIR="+t.TempDir(),
		fmt.Sprintf("KAFKA_PORT=%d", ports[0]), fmt.Sprintf("MONGO_PORT=%d", ports[1]),
		"PRODUCER_ADDR="+addr(2), "CONSUMER_ADDR="+addr(3),
		"WEB_SERVER_ADDR="+addr(4), "MANAGEMENT_API_ADDR="+addr(5), "API_ADDR="+addr(6), "SYSTEM_ADDR="+addr(7),
		"RATE=20") // orders per second, so that a stream has some soon
	out, err := local.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	local.Stderr = local.Stdout
	if err := local.Start(); err != nil {
		t.Fatal(err)
	}
	up, ended := make(chan struct{}), make(chan struct{})
	var log strings.Builder
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			log.WriteString(lines.Text() + "\n")
			if strings.HasPrefix(lines.Text(), "shopstream is up") {
				close(up)
			}
		}
		_ = local.Wait()
	}()
	t.Cleanup(func() {
		_ = local.Process.Signal(os.Interrupt)
		<-ended
		if t.Failed() {
			t.Logf("the platform said:\n%s", log.String())
		}
	})
	select {
	case <-up:
	case <-ended:
		t.Fatal("the platform ended before it was up")
	case <-time.After(2 * time.Minute):
		t.Fatal("the platform is not up after two minutes")
	}
	return platform{webServer: "http://" + addr(4), managementAPI: "http://" + addr(5), api: "http://" + addr(6)}
}

// freePorts returns free ports of loopback, below those that the kernel uses for outgoing
// connections.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range 1000 {
		port := 15000 + rand.IntN(15000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close() // only at the end, so that no port is returned twice
		if ports = append(ports, port); len(ports) == n {
			return ports
		}
	}
	t.Fatal("no free ports")
	return nil
}

// run runs a command and shows its output; a failure ends the test.
func run(t *testing.T, dir string, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	t.Logf("%s %s\n%s", filepath.Base(name), strings.Join(args, " "), out)
	if err != nil {
		t.Fatal(err)
	}
}
