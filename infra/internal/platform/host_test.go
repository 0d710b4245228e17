package platform

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeKubectl replaces kubectl by a script, and returns a function that returns the arguments of its calls.
func fakeKubectl(t *testing.T, script string) (calls func() string) {
	t.Helper()
	folder := t.TempDir()
	log := filepath.Join(folder, "calls")
	content := "#!/bin/sh\necho \"$*\" >>'" + log + "'\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(folder, "kubectl"), []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder)
	return func() string {
		noted, _ := os.ReadFile(log)
		return string(noted)
	}
}

func TestUnlockTouchesOnlyUnfinishedOperationsOfOneRelease(t *testing.T) {
	calls := fakeKubectl(t, "")
	for _, kubeContext := range []string{"", "minikube"} {
		if err := kubectlUnlocker(kubeContext)("keda", "keda"); err != nil {
			t.Fatal(err)
		}
	}
	const unlock = "delete secret --ignore-not-found --namespace keda --selector " +
		"owner=helm,name=keda,status in (pending-install,pending-upgrade,pending-rollback)\n"
	if got, want := calls(), unlock+"--context minikube "+unlock; got != want {
		t.Errorf("it ran %q, want %q", got, want)
	}
}

func TestKubectlsOwnMessageIsInTheError(t *testing.T) {
	fakeKubectl(t, "echo 'Unable to connect to the server' >&2\nexit 1")
	if _, err := kubectlNamespaces("minikube"); err == nil || !strings.Contains(err.Error(), "getting namespaces: exit status 1: Unable to connect to the server") {
		t.Errorf("err = %v", err)
	}
	fakeKubectl(t, "")
	if stored, err := kubectlCertificate("minikube"); err != nil || stored.data != nil {
		t.Errorf("of a Secret that doesn't exist it read %v (%v)", stored, err)
	}
}

func TestLoaderRunsItsCommandOnTheImage(t *testing.T) {
	if commandLoader(nil) != nil {
		t.Error("no command loads something")
	}
	if err := commandLoader([]string{"test", "-n"})("image"); err != nil {
		t.Error(err)
	}
	err := commandLoader([]string{"false"})("shopstream/api:1")
	if err == nil || !strings.Contains(err.Error(), `"shopstream/api:1"`) {
		t.Errorf("got %v", err)
	}
}
