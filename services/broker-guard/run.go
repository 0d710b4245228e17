package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/telemetry"
)

// guard guards one node.
type guard struct {
	id      int32
	role    string
	cluster *cluster
	guards  *guards
	turn    *turn
	metrics *prometheus.Registry
}

func run(ctx context.Context, environ []string, stdout io.Writer) error {
	cfg, err := envconf.Load[config](environ)
	if err != nil {
		return err
	}
	log := telemetry.NewLogger(stdout, cfg.Log, "broker-guard")
	secured, err := tlsConfig(cfg.CAFile, cfg.Key)
	if err != nil {
		return err
	}
	c, err := connect(cfg, secured)
	if err != nil {
		return err
	}
	defer c.close()
	metrics := telemetry.NewRegistry()
	if err := metrics.Register(newHealth(c, cfg.NodeID, cfg.Role == "broker", log)); err != nil {
		return fmt.Errorf("registering the cluster's metrics: %w", err)
	}
	if secured != nil {
		if err := metrics.Register(newCertificate(cfg.Listener, secured, log)); err != nil {
			return fmt.Errorf("registering the certificate's metric: %w", err)
		}
	}

	g := &guard{id: cfg.NodeID, role: cfg.Role, cluster: c, metrics: metrics, guards: newGuards(cfg.NodeID, cfg.peer)}
	g.turn = &turn{
		id: cfg.NodeID, every: cfg.Every, alone: cfg.Alone, look: g.look, peers: g.guards, log: log,
		state: status{Node: cfg.NodeID, Phase: running},
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("listening on HTTP_ADDR %s: %w", cfg.Addr, err)
	}
	// /stop answers after minutes or hours, so responses have no time limit.
	server := &http.Server{Handler: g.routes(), ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	log.Info("serving", "addr", listener.Addr().String(), "node", cfg.NodeID)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving on %s: %w", cfg.Addr, err)
	}
	return nil
}

// look reads everything that stopping the node may affect.
func (g *guard) look(ctx context.Context) (view, error) {
	v, err := g.cluster.all(ctx)
	g.learn(v)
	return v, err
}

// check returns why the node has not caught up yet, or nil.
func (g *guard) check(ctx context.Context) error {
	if g.role == "controller" {
		q, err := g.cluster.quorum(ctx)
		if err != nil {
			return err
		}
		v := view{quorum: q}
		g.learn(v)
		return votes(v, g.id)
	}
	v, err := g.cluster.own(ctx, g.id)
	if err != nil {
		return err
	}
	g.learn(v)
	return inSync(v, g.id)
}

// learn updates the pool's other guards from a view.
func (g *guard) learn(v view) {
	if g.role == "controller" {
		for _, voter := range v.quorum.voters {
			g.guards.learn([]int32{voter.id})
		}
		return
	}
	g.guards.learn(v.brokers())
}
