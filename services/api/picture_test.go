package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestPicturesThatCannotBeDrawnAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                                      "not a picture",
		`{"parts":[{"name":"a","kind":"shop"}]}`: `"a" is of the unknown kind "shop"`,
		`{"parts":[{"name":"a","kind":"topic"},{"name":"a","kind":"service"}]}`:                                                         `two parts are called "a"`,
		`{"parts":[{"name":"a","kind":"topic"}],"flows":[{"from":"a","to":"b"}]}`:                                                       `from "a" to "b"`,
		`{"parts":[{"name":"a","kind":"topic"},{"name":"b","kind":"service"}],"flows":[{"from":"a","to":"b"},{"from":"b","to":"a"}]}`:   "in a circle",
		`{"parts":[{"name":"a","kind":"topic"},{"name":"b","kind":"service"}],"flows":[{"from":"a","to":"b"}]}`:                         "",
		`{"parts":[{"name":"a","kind":"service"},{"name":"b","kind":"service"}],"flows":[{"from":"a","to":"b"},{"from":"a","to":"b"}]}`: "",
	} {
		var p picture
		err := p.UnmarshalText([]byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// Whatever is drawn, on a wide screen or a narrow one, no box or text lies on another one.
func TestLayoutsKeepPartsApart(t *testing.T) {
	buying := strings.ReplaceAll(string(defaultPicture), `"to": "orders"`, `"to": "purchases"`) // with TOPIC=purchases
	for name, text := range map[string]string{"default": string(defaultPicture), "a producer that buys": buying} {
		for direction, s := range map[string]shape{"wide": wideShape, "narrow": narrowShape} {
			t.Run(name+" "+direction, func(t *testing.T) {
				var p picture
				if err := p.UnmarshalText([]byte(text)); err != nil {
					t.Fatal(err)
				}
				l := p.lay(s)
				taken := map[string]box{}
				for i, b := range l.Boxes {
					taken[p.Parts[i].Name] = b
				}
				for i, w := range l.Wires {
					label := box{X: w.TX - 26, Y: w.TY - 16, W: 52, H: 32}
					if w.Beside {
						label.X = w.TX
					}
					taken[fmt.Sprintf("text from %s to %s", p.Flows[i].From, p.Flows[i].To)] = label
				}
				for one, a := range taken {
					if a.X < 0 || a.Y < 0 || a.X+a.W > l.Width || a.Y+a.H > l.Height || a.W < 30 {
						t.Errorf("%s at %v is not within %d × %d", one, a, l.Width, l.Height)
					}
					for other, b := range taken {
						if one < other && a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
							t.Errorf("%s at %v and %s at %v", one, a, other, b)
						}
					}
				}
			})
		}
	}
}
