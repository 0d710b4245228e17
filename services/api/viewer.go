package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
)

// contentSecurityPolicy allows the page to load from and connect to this service only.
// Records may contain any text, and none of it may run as script.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// assets are the files of a page, served from memory.
type assets map[string]asset

type asset struct {
	content []byte
	etag    string
}

// newAssets reads the files of a folder.
func newAssets(files fs.FS, folder string) (assets, error) {
	v := assets{}
	err := fs.WalkDir(files, folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		v[strings.TrimPrefix(name, folder+"/")] = newAsset(content)
		return nil
	})
	return v, err
}

func newAsset(content []byte) asset {
	sum := sha256.Sum256(content)
	// Weak: the same for the compressed form.
	return asset{content, `W/"` + hex.EncodeToString(sum[:12]) + `"`}
}

// set replaces a text in a file.
func (v assets) set(name, text, by string) {
	v[name] = newAsset(bytes.Replace(v[name].content, []byte(text), []byte(by), 1))
}

func (v assets) serve(c *gin.Context) {
	name := strings.TrimPrefix(c.Param("file"), "/")
	if name == "" {
		name = "index.html"
	}
	a, ok := v[name]
	if !ok {
		httpx.Abort(c, http.StatusNotFound, "no such file")
		return
	}
	h := c.Writer.Header()
	protect(h)
	// Cached, but revalidated each time: a new version shows at once.
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", a.etag)
	if kind := contentType(name); kind != "" {
		h.Set("Content-Type", kind)
	}
	httpx.ServeFile(c.Writer, c.Request, a.content)
}

// protect sets what browsers enforce for each page and file.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}

// contentType doesn't use the machine's MIME tables, which differ.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return ""
}
