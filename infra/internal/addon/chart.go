package addon

import (
	"path"
)

// Chart is one line of the table of addons.
type Chart struct {
	// Name is the chart's and the release's.
	Name      string
	Version   string
	Namespace string

	// Repository is where the chart comes from. With Folder set it comes from there instead.
	Repository string
	Folder     string

	Values map[string]any

	// Demands is what its pods ask for.
	Demands []Demand
}

// Source is where charts come from instead of their own repositories, and what is changed about them.
type Source struct {
	Repository, Folder string
	Values             map[string]any
}

// Apply returns the chart as that source has it.
func (s Source) Apply(c Chart) Chart {
	if s.Repository != "" {
		c.Repository = s.Repository
	}
	if s.Folder != "" {
		c.Repository, c.Folder = "", s.Folder
	}
	if over, ok := s.Values[c.Name].(map[string]any); ok {
		c.Values = merge(c.Values, over)
	}
	return c
}

// location is a name in the repository or a path.
func (c Chart) location() string {
	if c.Folder != "" {
		return path.Join(c.Folder, c.Name)
	}
	return c.Name
}
