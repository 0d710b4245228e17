package main

import (
	_ "embed"

	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
)

//go:embed openapi.yaml
var spec []byte

func addRoutes(engine *gin.Engine, l *lookups) {
	engine.GET("/api/v1/purchases/:userid", l.list)
	// A path of two segments: no user id is shadowed by it.
	engine.GET("/api/v1/purchases/by-event/:eventId", l.byEvent)
	httpx.ServeSpec(engine, spec)
}
