// Package podtest tells tests what a stack gives a service, and what its process takes.
package podtest

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// Pod is what a stack gives a service.
type Pod struct {
	Environ []string
	Memory  int // limit, in bytes
}

// Of returns the pod of a service in a development stack, with these of its variables. The
// test runs in the service's folder. It is skipped where memory can't be measured.
func Of(t testing.TB, service string, variables ...string) Pod {
	t.Helper()
	switch {
	case runtime.GOOS != "linux":
		t.Skip("reads a process's memory from /proc")
	case raceDetector():
		t.Skip("the race detector takes memory of its own")
	}
	manifest, err := os.ReadFile("../../infra/testdata/manifests/dev.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type container struct {
		Name      string
		Env       []struct{ Name, Value string }
		Resources struct{ Limits struct{ Memory string } }
	}
	decoder := yaml.NewDecoder(bytes.NewReader(manifest))
	for {
		var object struct {
			Kind string
			Spec struct {
				Template struct {
					Spec struct{ Containers []container }
				}
			}
		}
		if err := decoder.Decode(&object); err != nil {
			t.Fatalf("looking for the service in the manifests: %v", err)
		}
		for _, c := range object.Spec.Template.Spec.Containers {
			if object.Kind != "Deployment" || c.Name != service {
				continue
			}
			var pod Pod
			if _, err := fmt.Sscanf(c.Resources.Limits.Memory, "%dMi", &pod.Memory); err != nil {
				t.Fatal(err)
			}
			pod.Memory <<= 20
			for _, e := range c.Env {
				for _, name := range append(variables, "GOMEMLIMIT", "MALLOC_ARENA_MAX") {
					if e.Name == name {
						pod.Environ = append(pod.Environ, e.Name+"="+e.Value)
					}
				}
			}
			return pod
		}
	}
}

func raceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" && s.Value == "true" {
			return true
		}
	}
	return false
}

// Within checks that a process has kept to the pod's memory so far.
func (p Pod) Within(t testing.TB, pid int, after string) {
	t.Helper()
	peak := Peak(t, pid)
	t.Logf("%5.1f MiB after %s", float64(peak)/(1<<20), after)
	if peak > p.Memory {
		t.Errorf("%s took it to %d MiB, the pod has %d", after, peak>>20, p.Memory>>20)
	}
}

// Peak returns the highest memory use of a process so far, in bytes.
func Peak(t testing.TB, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	t.Fatal("the process has ended")
	return 0
}
