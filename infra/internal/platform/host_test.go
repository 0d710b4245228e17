package platform

import (
	"strings"
	"testing"
)

func TestUnlockTouchesOnlyUnfinishedOperationsOfOneRelease(t *testing.T) {
	const want = "delete secret --ignore-not-found --namespace keda --selector " +
		"owner=helm,name=keda,status in (pending-install,pending-upgrade,pending-rollback)"
	if got := strings.Join(unlockArguments("", "keda", "keda"), " "); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := strings.Join(unlockArguments("minikube", "keda", "keda"), " "); got != want+" --context minikube" {
		t.Errorf("got %q", got)
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
