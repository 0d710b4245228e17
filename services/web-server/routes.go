package main

import (
	"bytes"
	_ "embed"
	"math"
	"strconv"

	"github.com/gin-gonic/gin"

	"shopstream/services/internal/event"
	"shopstream/services/internal/httpx"
)

//go:embed openapi.yaml
var openAPI []byte

// specFor returns the OpenAPI description for a shop that sells in currency, which
// determines the lowest price.
func specFor(currency string) []byte {
	least := strconv.FormatFloat(0.5/math.Pow10(event.MinorDigits(currency)), 'f', -1, 64)
	return bytes.Replace(openAPI, []byte("minimum: 0.005"), []byte("minimum: "+least), 1)
}

func addRoutes(engine *gin.Engine, s *server, p *shop, k *checkout) {
	// The original systems have the paths without a prefix.
	for _, prefix := range []string{"/api/v1", ""} {
		engine.POST(prefix+"/buy", s.limitBodies(abortTooLarge), s.buy)
		engine.GET(prefix+"/getAllUserBuys/:userid", s.userBuys)
	}
	engine.GET("/api/v1/buys/:eventId", s.buyState)
	httpx.ServeSpec(engine, specFor(s.currency))
	p.addRoutes(engine)
	k.addRoutes(engine)
}
