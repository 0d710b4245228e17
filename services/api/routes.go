package main

import (
	"embed"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
)

//go:embed openapi.yaml
var spec []byte

//go:embed viewer
var viewerFiles embed.FS

// routes adds the service's own routes. What follows authenticate is behind
// the token, routes that don't exist included; the operational routes, which
// the engine already has, are not.
func (s *server) routes(engine *gin.Engine) error {
	engine.Use(s.count)
	if s.cfg.Token != "" {
		engine.Use(authenticate(s.cfg.Token))
	}
	engine.GET("/messages", s.messages)
	engine.GET("/messages/stream", s.stream)
	engine.GET("/topics", s.topics)
	engine.GET("/topics/:topic/config", s.topicConfig)
	engine.GET("/groups", s.groups)
	engine.GET("/brokers", s.brokers)
	httpx.ServeSpec(engine, spec)

	viewer, err := newViewer(viewerFiles)
	if err != nil {
		return fmt.Errorf("reading the viewer's files: %w", err)
	}
	engine.GET("/", func(c *gin.Context) { c.Redirect(http.StatusFound, "/viewer") })
	engine.GET("/viewer", viewer.serve)
	engine.GET("/viewer/*file", viewer.serve)
	return nil
}

// count counts requests by route template, never by path: the label stays
// bounded whatever clients ask for.
func (s *server) count(c *gin.Context) {
	endpoint := c.FullPath()
	if endpoint == "" {
		endpoint = "unmatched"
	}
	s.metrics.requests.WithLabelValues(endpoint).Inc()
	c.Next()
}
