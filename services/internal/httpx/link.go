package httpx

import (
	"fmt"
	"net/url"
	"strings"
)

// Link is an address for browsers: an http or https URL, or a path on the same host. It
// may contain {id}, for which For puts an id.
type Link string

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Link) UnmarshalText(text []byte) error {
	u, err := url.Parse(strings.ReplaceAll(string(text), "{id}", "id"))
	if err != nil {
		return err
	}
	absolute := (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
	path := u.Scheme == "" && u.Host == "" && strings.HasPrefix(u.Path, "/")
	if len(text) > 0 && !absolute && !path {
		return fmt.Errorf("%q is neither an http or https URL nor a path that begins with /", text)
	}
	*l = Link(text)
	return nil
}

// NamesID reports whether it has a place for an id.
func (l Link) NamesID() bool { return strings.Contains(string(l), "{id}") }

// For returns the address for an id, or "" if there is no address or no id.
func (l Link) For(id string) string {
	if id == "" {
		return ""
	}
	return strings.ReplaceAll(string(l), "{id}", url.PathEscape(id))
}
