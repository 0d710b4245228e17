package image

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Daemon returns nil when a Docker daemon answers, and says which one did not otherwise. The provider can only fail,
// even in a preview; this lets the program show everything else.
func Daemon(ctx context.Context, host string) error {
	if host != "" {
		return dial(ctx, host)
	}
	if host = os.Getenv("DOCKER_HOST"); host != "" {
		return dial(ctx, host)
	}
	// Where the provider looks: the usual socket, then those of Docker Desktop.
	candidates := []string{"unix:///var/run/docker.sock"}
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
		// ssh and Windows pipes: the provider finds out.
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	connection, err := (&net.Dialer{}).DialContext(ctx, network, target)
	if err != nil {
		return fmt.Errorf("asking the Docker daemon at %s: %w", host, err)
	}
	return connection.Close()
}
