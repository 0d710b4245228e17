package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLinksOfThePagesLeadSomewhere checks every link from a page of the repository to a file, or to a heading of a page.
func TestLinksOfThePagesLeadSomewhere(t *testing.T) {
	root := filepath.Join("..", "..", "..", "..")
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md", "services/*/README.md", "services/dev/*/README.md"} {
		pages, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil || len(pages) == 0 {
			t.Fatalf("%s: %d pages, %v", pattern, len(pages), err)
		}
		for _, page := range pages {
			for _, found := range link.FindAllStringSubmatch(prose(t, page), -1) {
				file, anchor, _ := strings.Cut(found[1], "#")
				if strings.Contains(file, "://") {
					continue
				}
				target := page
				if file != "" {
					target = filepath.Join(filepath.Dir(page), filepath.FromSlash(file))
				}
				if _, err := os.Stat(target); err != nil {
					t.Errorf("%s links to %s, which doesn't exist", page, found[1])
				} else if anchor != "" && !slices.Contains(anchors(prose(t, target)), anchor) {
					t.Errorf("%s links to %s, which has no such heading", page, found[1])
				}
			}
		}
	}
}

// prose returns a page without its blocks of code.
func prose(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(string(text), "")
}

// anchors returns what GitHub makes of the headings of a page.
func anchors(text string) []string {
	var all []string
	noSlug := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		slug := strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(heading[1]), ""), " ", "-")
		unique := slug
		for n := 1; slices.Contains(all, unique); n++ {
			unique = slug + "-" + strconv.Itoa(n)
		}
		all = append(all, unique)
	}
	return all
}
