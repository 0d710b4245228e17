package plan

import (
	"encoding/json"
	"slices"
	"testing"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/golden"
)

// TestPicture writes what api draws where nothing else is set, as in `make run`, and fails when it is stale.
func TestPicture(t *testing.T) {
	c, err := config.Defaults(config.Default)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := json.MarshalIndent(NewPicture(c), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "../../../services/api/system/picture.json", append(picture, '\n'))
}

// A stack that renames a topic, or lets the producer buy, gets a picture of that.
func TestPictureFollowsTheStack(t *testing.T) {
	c, err := config.Defaults(config.Default)
	if err != nil {
		t.Fatal(err)
	}
	c.Topics.Purchases.Name = "sales"
	c.Services.Producer.Env = map[string]string{"TOPIC": "sales"}
	flows := NewPicture(c).Flows
	for _, want := range []Flow{{WebServer, "sales"}, {"sales", ManagementAPI}, {Producer, "sales"}} {
		if !slices.Contains(flows, want) {
			t.Errorf("%v is missing in %v", want, flows)
		}
	}
	if unwanted := (Flow{Producer, c.Topics.Orders.Name}); slices.Contains(flows, unwanted) {
		t.Errorf("%v: the producer sends purchases", unwanted)
	}
}
