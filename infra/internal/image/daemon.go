package image

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Host returns the address of the Docker daemon: the configured one, else that of the current Docker context, which the
// provider doesn't read. It is empty where the context is the default or there is no docker command: the provider then
// finds the daemon itself.
func Host(ctx context.Context, configured string) string {
	if configured != "" || os.Getenv("DOCKER_HOST") != "" {
		return configured
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	output, err := exec.CommandContext(ctx, "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").Output()
	host := strings.TrimSpace(string(output))
	if err != nil || host == usualSocket {
		return ""
	}
	return host
}

const usualSocket = "unix:///var/run/docker.sock"

// LoadCommand adds the profile to a minikube command. A profile and its context have the same name.
func LoadCommand(command []string, kubeContext string) []string {
	if len(command) == 0 || filepath.Base(command[0]) != "minikube" || kubeContext == "" {
		return command
	}
	for _, argument := range command {
		if argument == "-p" || strings.HasPrefix(argument, "--profile") {
			return command
		}
	}
	return slices.Concat(command[:1], []string{"--profile", kubeContext}, command[1:])
}

// Daemon returns nil when a Docker daemon answers, and an error with its address otherwise. Without a daemon the provider
// fails even in a preview; knowing beforehand, the program can show everything else.
func Daemon(ctx context.Context, host string) error {
	if host != "" {
		return dial(ctx, host)
	}
	if host = os.Getenv("DOCKER_HOST"); host != "" {
		return dial(ctx, host)
	}
	// The addresses that the provider tries: the usual socket, then those of Docker Desktop.
	candidates := []string{usualSocket}
	if home, err := os.UserHomeDir(); err == nil {
		for _, socket := range []string{".docker/run/docker.sock", ".docker/desktop/docker.sock"} {
			candidates = append(candidates, "unix://"+filepath.Join(home, socket))
		}
	}
	var failures []error
	for _, candidate := range candidates {
		err := dial(ctx, candidate)
		if err == nil {
			return nil
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

func dial(ctx context.Context, host string) error {
	address, err := url.Parse(host)
	if err != nil {
		return fmt.Errorf("reading the address of the Docker daemon: %w", err)
	}
	network, target := address.Scheme, address.Host
	switch network {
	case "unix":
		target = address.Path
	case "http", "https":
		network = "tcp"
	case "tcp":
	default:
		// For ssh and Windows pipes, the provider itself finds out.
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	connection, err := (&net.Dialer{}).DialContext(ctx, network, target)
	if err != nil {
		return fmt.Errorf("calling the Docker daemon at %s: %w", host, err)
	}
	return connection.Close()
}
