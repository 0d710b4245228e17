package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"

	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
)

//go:embed shop
var shopFiles embed.FS

// policy lets the page load only what this server serves, and run no inline
// scripts.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// shop serves the shop page and its files from memory.
type shop struct{ assets []asset }

type asset struct {
	path        string
	contentType string
	etag        string
	content     []byte
}

// newShop writes the shop page and reads its files.
func newShop(currency string, elsewhere places) (*shop, error) {
	var index bytes.Buffer
	if err := shopPage(currency, elsewhere).Render(context.Background(), &index); err != nil {
		return nil, fmt.Errorf("writing the shop page: %w", err)
	}
	p := &shop{assets: []asset{newAsset("/", "text/html; charset=utf-8", index.Bytes())}}
	for name, contentType := range map[string]string{
		"api.js":     "text/javascript; charset=utf-8",
		"app.js":     "text/javascript; charset=utf-8",
		"dom.js":     "text/javascript; charset=utf-8",
		"shopper.js": "text/javascript; charset=utf-8",
		"way.js":     "text/javascript; charset=utf-8",
		"words.js":   "text/javascript; charset=utf-8",
		"style.css":  "text/css; charset=utf-8",
		"icon.svg":   "image/svg+xml",
	} {
		content, err := shopFiles.ReadFile("shop/" + name)
		if err != nil {
			return nil, fmt.Errorf("reading the shop page: %w", err)
		}
		p.assets = append(p.assets, newAsset("/shop/"+name, contentType, content))
	}
	return p, nil
}

func newAsset(path, contentType string, content []byte) asset {
	sum := sha256.Sum256(content)
	// Weak, because it is the same for the compressed form.
	return asset{path, contentType, `W/"` + hex.EncodeToString(sum[:12]) + `"`, content}
}

func (p *shop) addRoutes(engine *gin.Engine) {
	for _, a := range p.assets {
		engine.GET(a.path, a.serve)
	}
}

func (a asset) serve(c *gin.Context) {
	for name, value := range map[string]string{
		"Content-Type":            a.contentType,
		"Content-Security-Policy": policy,
		"X-Content-Type-Options":  "nosniff",
		"Referrer-Policy":         "no-referrer",
		// Cached, but revalidated each time: a new version shows at once, and an
		// unchanged one costs a 304.
		"Cache-Control": "no-cache",
		"ETag":          a.etag,
	} {
		c.Header(name, value)
	}
	httpx.ServeFile(c.Writer, c.Request, a.content)
}
