package main

import (
	"embed"
	"fmt"
	"html"
	"net/http"

	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
)

//go:embed openapi.yaml
var spec []byte

//go:embed viewer
var viewerFiles embed.FS

//go:embed system/system.css system/system.js
var systemFiles embed.FS

// routes adds the service's own routes. Those after authenticate need the token, and so
// do paths that don't exist. The operational routes, which the engine already has, don't.
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

	viewer, err := newAssets(viewerFiles, "viewer")
	if err != nil {
		return fmt.Errorf("reading the viewer's files: %w", err)
	}
	for name, link := range map[string]httpx.Link{"way": s.cfg.WayURL, "trace": s.cfg.TraceURL} {
		viewer.set("index.html", `<meta name="`+name+`" content="">`, `<meta name="`+name+`" content="`+html.EscapeString(string(link))+`">`)
	}
	page, err := s.newSystemPage(systemFiles)
	if err != nil {
		return err
	}
	engine.GET("/", func(c *gin.Context) { c.Redirect(http.StatusFound, "/viewer") })
	engine.GET("/viewer", viewer.serve)
	engine.GET("/viewer/*file", viewer.serve)
	engine.GET("/system", page.show)
	engine.GET("/system/*file", page.files.serve)
	return nil
}

// count counts requests by route template, never by path, so that the number of label
// values stays small whatever clients request.
func (s *server) count(c *gin.Context) {
	endpoint := c.FullPath()
	if endpoint == "" {
		endpoint = "unmatched"
	}
	s.metrics.requests.WithLabelValues(endpoint).Inc()
	c.Next()
}
