// Package pagetest checks that a page keeps the values that it shows apart from its markup.
package pagetest

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Escapes checks that a page is read by a browser in the same way whatever the values are that
// it shows: it has the same elements and attributes, and each value is where it was, unchanged.
func Escapes(t *testing.T, page func(value string) string) {
	t.Helper()
	const harmless = "harmless"
	want := read(t, page(harmless), harmless)
	if !strings.Contains(want, shown) {
		t.Fatalf("the page shows no value:\n%s", want)
	}
	for _, value := range []string{
		`<script>alert(1)</script>`,
		`</title></p></svg><img src=x onerror=alert(1)>`,
		`" onmouseover="alert(1)`,
		`' onmouseover='alert(1)`,
		`x onmouseover=alert(1)`,
		`"><form action=//elsewhere.example>`,
		`<!--`,
		`&lt;b&gt;`,
		`javascript:alert(1)`,
		`../../?a=b&c=d#e%2f`,
		`{{.}}{ v }`,
	} {
		got := strings.SplitAfter(read(t, page(value), value), "\n")
		for i, line := range strings.SplitAfter(want, "\n") {
			if i >= len(got) || got[i] != line {
				t.Errorf("with %s instead of a harmless value:\n%sinstead of\n%s", value, strings.Join(got[min(i, len(got)):min(i+1, len(got))], ""), line)
				break
			}
		}
	}
}

// shown stands for a value that the page shows.
const shown = "VALUE"

// read returns the tree that a browser makes of a page, a line for each element and text.
func read(t *testing.T, page, value string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.NewReplacer(value, shown)
	// In an address it is escaped a second time, or it could lead elsewhere.
	address := strings.NewReplacer(url.PathEscape(value), shown, url.QueryEscape(value), shown)
	var tree strings.Builder
	depth := map[*html.Node]int{}
	for node := range root.Descendants() {
		depth[node] = depth[node.Parent] + 1
		fmt.Fprintf(&tree, "%*s%d %q", 2*depth[node], "", node.Type, plain.Replace(node.Data))
		for _, attribute := range node.Attr {
			replacer := plain
			if attribute.Key == "href" {
				replacer = address
			}
			fmt.Fprintf(&tree, " %s=%q", attribute.Key, replacer.Replace(attribute.Val))
		}
		tree.WriteString("\n")
	}
	return tree.String()
}
