package refuse

import (
	"strings"
	"testing"
)

func TestTheDataDecideWhichMongoDBCanOpenThem(t *testing.T) {
	image := func(tag string) map[string]string {
		return map[string]string{"mongo": `{"image": "mongo:` + tag + `"}`}
	}
	for name, test := range map[string]struct {
		was, is, data string
		want          string // in the error; empty where it is done
	}{
		"up, of the version before":         {"7.0.4", "8.0.1", "7.0", ""},
		"up, of the one before that":        {"7.0.4", "8.0.1", "6.0", `setFeatureCompatibilityVersion: "7.0"`},
		"down, of the older version":        {"8.0.1", "7.0.4", "7.0", ""},
		"down, of the newer one":            {"8.0.1", "7.0.4", "8.0", `setFeatureCompatibilityVersion: "7.0"`},
		"an answer that is none":            {"7.0.4", "8.0.1", "", "which is not a version"},
		"within a major nobody need ask":    {"8.0.1", "8.0.4", "", ""},
		"nor of images without a version":   {"8.0.1", "ours", "", ""},
		"nor of a database that others run": {"external", "8.0.4", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			pairs := image(test.was)
			if test.was == "external" {
				pairs = map[string]string{"mongo": `{"external": true}`}
			}
			before, _ := settings(t, pairs)
			now, _ := settings(t, image(test.is))
			var err error
			if NeedsCompatibility(before, now) {
				err = Compatibility(before, now, test.data)
			} else if test.data != "" {
				t.Fatal("nobody asks the database")
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("err = %v, want %q", err, test.want)
			}
		})
	}
}
