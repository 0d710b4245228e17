package main

import (
	_ "embed"

	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
)

//go:embed openapi.yaml
var openAPI []byte

func addRoutes(engine *gin.Engine, s *server, p *shop) {
	// The paths without a prefix are those of the original systems.
	for _, prefix := range []string{"/api/v1", ""} {
		engine.POST(prefix+"/buy", s.buy)
		engine.GET(prefix+"/getAllUserBuys/:userid", s.userBuys)
	}
	engine.GET("/api/v1/buys/:eventId", s.buyState)
	httpx.ServeSpec(engine, openAPI)
	p.addRoutes(engine)
}
