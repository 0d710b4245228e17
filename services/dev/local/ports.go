package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// endpoint is an address that something will listen on.
type endpoint struct {
	owner    string // who will listen there
	variable string // the variable that sets it
	addr     string
}

// checkFree reports every endpoint that is already in use, before anything starts.
func checkFree(ctx context.Context, endpoints []endpoint) error {
	var faults []error
	taken := map[string]string{}
	for _, e := range endpoints {
		_, port, err := net.SplitHostPort(e.addr)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", e.variable, err))
			continue
		}
		if other, twice := taken[port]; twice {
			faults = append(faults, fmt.Errorf("port %s is configured for both %s and %s: change %s", port, other, e.owner, e.variable))
			continue
		}
		taken[port] = e.owner
		switch err := free(ctx, e.addr, port); {
		case errors.Is(err, syscall.EADDRINUSE):
			faults = append(faults, fmt.Errorf("port %s for %s is in use: stop the process that listens there, or choose another port with %s (%w)", port, e.owner, e.variable, err))
		case err != nil:
			faults = append(faults, fmt.Errorf("%s can't listen there, choose another address with %s: %w", e.owner, e.variable, err))
		}
	}
	return errors.Join(faults...)
}

func free(ctx context.Context, addr, port string) error {
	// Another process may listen on another address of the port, such as IPv6. We could
	// then listen too, but "localhost" in a browser would reach the other process.
	dialer := net.Dialer{Timeout: time.Second}
	if conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("localhost", port)); err == nil {
		_ = conn.Close()
		return fmt.Errorf("something answers at %s: %w", conn.RemoteAddr(), syscall.EADDRINUSE)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return listener.Close()
}
