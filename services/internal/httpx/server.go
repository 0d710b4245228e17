package httpx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"shopstream/services/internal/health"
	"shopstream/services/internal/lifecycle"
	"shopstream/services/internal/retry"
)

// Config is the HTTP part of a service's configuration. It doesn't include the
// address, whose default differs between services:
//
//	Addr httpx.Addr `env:"HTTP_ADDR" envDefault:":8081" doc:"…"`
type Config struct {
	DrainDelay      time.Duration `env:"DRAIN_DELAY" envDefault:"0s" doc:"How long the service continues to serve after it has reported that it is not ready; in Kubernetes, the time until endpoints are updated."`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"10s" doc:"Time limit of each step of the shutdown (listener, consumer, producer, database). The first may take DRAIN_DELAY longer."`
}

// Validate implements envconf.Validator.
func (c Config) Validate() error {
	var faults []error
	if c.DrainDelay < 0 {
		faults = append(faults, errors.New("DRAIN_DELAY must not be negative"))
	}
	if c.ShutdownTimeout <= 0 {
		faults = append(faults, errors.New("SHUTDOWN_TIMEOUT must be greater than 0"))
	}
	return errors.Join(faults...)
}

// Addr is an address to listen on, host:port; the host may be empty.
type Addr string

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Addr) UnmarshalText(text []byte) error {
	if _, port, err := net.SplitHostPort(string(text)); err != nil || port == "" {
		return fmt.Errorf("%q is not host:port, such as :8080", text)
	}
	*a = Addr(text)
	return nil
}

// Listen opens the listener, so that a port in use ends the start at once.
func Listen(ctx context.Context, addr Addr) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", string(addr))
	if err != nil {
		return nil, fmt.Errorf("listening on HTTP_ADDR %s: %w", addr, err)
	}
	return l, nil
}

// Server returns the actor that serves handler on l. When stopped, it reports "not
// ready", keeps serving for the drain delay and closes each connection after its
// response, then closes the listener and waits for the requests in flight. It must be
// the first of a service's actors, so that no new work arrives while the others stop.
func Server(log *slog.Logger, cfg Config, l net.Listener, handler http.Handler, h *health.Health) lifecycle.Actor {
	base, cancelBase := context.WithCancel(context.Background())
	server := &http.Server{
		Handler:           closeWhileDraining(h, Handler(handler)),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		// A client that has stopped reading must not keep its response in memory. An event
		// stream sets its own deadlines.
		WriteTimeout:   30 * time.Second,
		IdleTimeout:    60 * time.Second,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext:    func(net.Listener) context.Context { return base },
	}
	newConnections(log).limit(server)
	return lifecycle.Actor{
		Name: "http server",
		Run: func(context.Context) error {
			log.Info("serving", "addr", l.Addr().String())
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving on %s: %w", l.Addr(), err)
			}
			return nil
		},
		Grace: cfg.DrainDelay,
		Stop: func(ctx context.Context) {
			h.Drain()
			retry.Sleep(ctx, cfg.DrainDelay)
			if err := server.Shutdown(ctx); err != nil {
				log.Warn("requests still open at the end of the drain", "error", err)
				cancelBase()
				_ = server.Close()
			}
		},
	}
}

// closeWhileDraining makes callers and ingress controllers open a new connection for
// their next request, which then reaches another pod. Without it, Shutdown could close
// a kept-alive connection just as a request arrives on it.
func closeWhileDraining(h *health.Health, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-h.Draining():
			w.Header().Set("Connection", "close")
		default:
		}
		next.ServeHTTP(w, r)
	})
}
