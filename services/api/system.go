package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
)

// systemPage is the page /system: the platform as one drawing, with what is known of it
// now. The page is made here, whole, each time: without JavaScript it reloads, and with it
// the page fetches itself and takes over what has changed.
type systemPage struct {
	picture  picture
	observer *observer
	files    assets
	wide     drawing
	narrow   drawing
}

// drawing is one layout of the picture.
type drawing struct {
	Name string // "wide" or "narrow"; its elements' ids begin with it
	layout
	Outlines []string // by part
}

func (s *server) newSystemPage(files embed.FS) (*systemPage, error) {
	p := &systemPage{
		picture:  s.cfg.Picture,
		observer: &observer{readKafka: s.readKafka, metricsURL: s.cfg.MetricsURL, client: &http.Client{}},
	}
	if len(p.picture.Parts) == 0 {
		if err := p.picture.UnmarshalText(defaultPicture); err != nil {
			return nil, fmt.Errorf("reading the default picture: %w", err)
		}
	}
	var err error
	if p.files, err = newAssets(files, "system"); err != nil {
		return nil, fmt.Errorf("reading the files of /system: %w", err)
	}
	p.wide, p.narrow = p.draw("wide", wideShape), p.draw("narrow", narrowShape)
	return p, nil
}

func (p *systemPage) draw(name string, s shape) drawing {
	d := drawing{Name: name, layout: p.picture.lay(s)}
	for i, b := range d.Boxes {
		d.Outlines = append(d.Outlines, outline(p.picture.Parts[i].Kind, b))
	}
	return d
}

// outline is the shape of a part: a pipe for a topic, a drum for the database, else a box.
func outline(kind string, b box) string {
	const bend = 9
	switch kind {
	case kindTopic, kindLetters:
		left, right, r := b.X+bend, b.X+b.W-bend, b.H/2
		return fmt.Sprintf("M%d %dH%dA%d %d 0 0 1 %d %dH%dA%d %d 0 0 1 %d %dZM%d %dA%d %d 0 0 0 %d %d",
			left, b.Y, right, bend, r, right, b.Y+b.H, left, bend, r, left, b.Y, right, b.Y, bend, r, right, b.Y+b.H)
	case kindDatabase:
		top, bottom, r := b.Y+bend, b.Y+b.H-bend, b.W/2
		return fmt.Sprintf("M%d %dA%d %d 0 0 1 %d %dV%dA%d %d 0 0 1 %d %dZM%d %dA%d %d 0 0 0 %d %d",
			b.X, top, r, bend, b.X+b.W, top, bottom, r, bend, b.X, bottom, b.X, top, r, bend, b.X+b.W, top)
	}
	const round = 10
	return fmt.Sprintf("M%d %dh%da%d %d 0 0 1 %d %dv%da%d %d 0 0 1 %d %dh%da%d %d 0 0 1 %d %dv%da%d %d 0 0 1 %d %dz",
		b.X+round, b.Y, b.W-2*round, round, round, round, round, b.H-2*round, round, round, -round, round,
		-(b.W - 2*round), round, round, -round, -round, -(b.H - 2*round), round, round, round, -round)
}

// id is the id of an element of a part or a flow.
func (d drawing) id(kind string, i int) string { return fmt.Sprintf("%s-%s%d", d.Name, kind, i) }

// systemView is what the page shows.
type systemView struct {
	Picture  picture
	Facts    facts
	Drawings []drawing
	At       string // time of day of the observation, UTC
}

// show answers GET /system.
func (p *systemPage) show(c *gin.Context) {
	seen := p.observer.observe(c.Request.Context())
	t := teller{picture: &p.picture, observation: seen, metricsURL: p.observer.metricsURL}
	view := systemView{Picture: p.picture, Facts: t.tell(), Drawings: []drawing{p.wide, p.narrow}, At: seen.at.UTC().Format(time.TimeOnly)}
	var body bytes.Buffer
	// A client that has gone is no reason to stop within a page, and no fault.
	if err := view.page().Render(context.WithoutCancel(c.Request.Context()), &body); err != nil {
		httpx.Abort(c, http.StatusInternalServerError, "the page cannot be made: "+err.Error())
		return
	}
	protect(c.Writer.Header())
	c.Header("Cache-Control", "no-store")
	c.Data(http.StatusOK, contentType(".html"), body.Bytes())
}

// Middle is the x of a part's text.
func (b box) Middle() int { return b.X + b.W/2 }

// Line is the y of the i-th of a part's three lines of text. A person has one, and the
// database two, below the rim of its drum.
func (b box) Line(i int, kind string) int {
	switch kind {
	case kindPerson:
		return b.Y + b.H/2 + 5
	case kindDatabase:
		return b.Y + 42 + i*18
	}
	return b.Y + 28 + i*18
}

// Mark shows a state by its shape, not by colour alone.
func (f partFacts) Mark() string {
	return map[string]string{stateUp: "●", stateWarn: "■", stateDown: "◆", stateUnknown: "○"}[f.State]
}

// Word is the part's kind in words.
func (p part) Word() string {
	if p.Kind == kindLetters {
		return "dead letters"
	}
	return p.Kind
}
