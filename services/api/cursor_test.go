package main

import "testing"

func FuzzCursor(f *testing.F) {
	at := cursor{log: [16]byte{1, 2}, name: 7, partition: -1, last: rank{7, 1, 2}}
	for _, at.form = range []form{inline, derived, held} {
		at.positions = []position{{partition: 0, end: 12}, {partition: 3, end: 500, spans: []span{{400, rank{7, 1, 2}}, {10, rank{8, 0, 1}}}}}
		text, _ := at.encode()
		f.Add(text)
	}
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCursor(text)
		if err != nil || c == nil {
			return
		}
		again, _ := c.encode()
		if d, err := parseCursor(again); err != nil {
			t.Errorf("%+v becomes %v", c, err)
		} else if third, _ := d.encode(); third != again {
			t.Errorf("%+v becomes %+v", c, d)
		}
	})
}
