package main

import (
	_ "embed"
	"log/slog"

	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
)

//go:embed openapi.yaml
var spec []byte

func addRoutes(engine *gin.Engine, s *store, log *slog.Logger) {
	engine.GET("/api/v1/purchases/:userid", handleList(s, log))
	// A path of two segments: no user id is shadowed by it.
	engine.GET("/api/v1/purchases/by-event/:eventId", handleByEvent(s, log))
	httpx.ServeSpec(engine, spec)
}
