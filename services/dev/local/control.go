package main

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
)

// The live drawing with buttons that break things: api's own pages, passed on, with a
// section of ours in /system. It exists in make run only; no image holds it.

// before is the beginning of the section of api's page that ours precedes.
const before = `<section class="figure" aria-labelledby="unseen-title">`

const panel = `<section class="figure" aria-labelledby="break-title">
    <h2 class="figure-title" id="break-title">Break it</h2>
    <p class="muted">Only here, in make run. What lasts ends with a second press, or with Ctrl-C, which then checks that each purchase that the shoppers had acknowledged is stored: <span id="break-count" data-live>{{.Count}}</span> so far.</p>
    <form method="post" action="/break" class="topic-groups">
      {{- range .Buttons}}
      <button class="button" name="fault" value="{{.Name}}" id="break-{{.ID}}" data-live>{{.Label}}</button>
      {{- end}}
    </form>
  </section>
  `

type panelView struct {
	Count   int
	Buttons []panelButton
}

type panelButton struct{ Name, ID, Label string }

// newControl returns the handler of SYSTEM_ADDR.
func newControl(api service, federation http.Handler, f *faults) (http.Handler, error) {
	target, err := url.Parse(api.url(""))
	if err != nil {
		return nil, fmt.Errorf("reading API_ADDR: %w", err)
	}
	section, err := template.New("panel").Parse(panel)
	if err != nil {
		return nil, fmt.Errorf("reading the template of the buttons: %w", err)
	}
	pages := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Del("Accept-Encoding") // /system is changed on its way
		},
		ModifyResponse: func(response *http.Response) error {
			if response.Request.URL.Path != "/system" || response.StatusCode != http.StatusOK {
				return nil
			}
			return insert(response, section, f)
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			// It was killed, and is restarted: look again soon.
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, `<!doctype html><meta http-equiv="refresh" content="1"><p>api does not answer; this page tries again.`)
		},
	}
	mux := http.NewServeMux()
	mux.Handle("GET /federate", federation)
	mux.Handle("GET /", pages)
	mux.HandleFunc("POST /break", func(w http.ResponseWriter, r *http.Request) {
		switch err := f.press(r.Context(), r.FormValue("fault")); {
		case errors.Is(err, errUnknownFault):
			http.Error(w, err.Error(), http.StatusBadRequest)
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		default:
			http.Redirect(w, r, "/system", http.StatusSeeOther)
		}
	})
	// No other site may press the buttons of a browser on this machine.
	return http.NewCrossOriginProtection().Handler(mux), nil
}

// insert puts the section with the buttons into api's page.
func insert(response *http.Response, section *template.Template, f *faults) error {
	page, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("reading the page: %w", err)
	}
	_ = response.Body.Close()
	view := panelView{Count: len(f.shoppers.acknowledged())}
	for _, name := range f.names() {
		view.Buttons = append(view.Buttons, panelButton{Name: name, ID: strings.ReplaceAll(name, " ", "-"), Label: f.label(name)})
	}
	var ours bytes.Buffer
	if err := section.Execute(&ours, view); err != nil {
		return fmt.Errorf("making the buttons: %w", err)
	}
	page = bytes.Replace(page, []byte(before), append(ours.Bytes(), before...), 1)
	response.Body = io.NopCloser(bytes.NewReader(page))
	response.ContentLength = int64(len(page))
	response.Header.Set("Content-Length", strconv.Itoa(len(page)))
	policy := response.Header.Get("Content-Security-Policy")
	response.Header.Set("Content-Security-Policy", strings.Replace(policy, "form-action 'none'", "form-action 'self'", 1))
	return nil
}
