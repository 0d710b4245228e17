package image

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestHostFollowsTheDockerContext(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("PATH", folder)
	t.Setenv("DOCKER_HOST", "")
	if got := Host(t.Context(), ""); got != "" {
		t.Errorf("without a docker command: %q", got)
	}
	docker := func(host string) {
		if err := os.WriteFile(filepath.Join(folder, "docker"), []byte("#!/bin/sh\necho "+host+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	docker("unix:///home/me/.colima/default/docker.sock")
	if got := Host(t.Context(), ""); got != "unix:///home/me/.colima/default/docker.sock" {
		t.Errorf("with a context: %q", got)
	}
	if got := Host(t.Context(), "tcp://configured:2375"); got != "tcp://configured:2375" {
		t.Errorf("configured: %q", got)
	}
	docker("unix:///var/run/docker.sock")
	if got := Host(t.Context(), ""); got != "" {
		t.Errorf("with the usual context: %q", got)
	}
	t.Setenv("DOCKER_HOST", "tcp://elsewhere:2375")
	docker("tcp://elsewhere:2375")
	if got := Host(t.Context(), ""); got != "" {
		t.Errorf("with DOCKER_HOST, which the provider reads: %q", got)
	}
}

func TestLoadCommandNamesTheProfile(t *testing.T) {
	for _, c := range []struct{ command, want []string }{
		{[]string{"minikube", "image", "load"}, []string{"minikube", "--profile", "shop", "image", "load"}},
		{[]string{"minikube", "-p", "mine", "image", "load"}, []string{"minikube", "-p", "mine", "image", "load"}},
		{[]string{"kind", "load", "docker-image"}, []string{"kind", "load", "docker-image"}},
		{nil, nil},
	} {
		if got := LoadCommand(c.command, "shop"); !slices.Equal(got, c.want) {
			t.Errorf("%q becomes %q, want %q", c.command, got, c.want)
		}
	}
	if got := LoadCommand([]string{"minikube", "image", "load"}, ""); len(got) != 3 {
		t.Errorf("without a context: %q", got)
	}
}
