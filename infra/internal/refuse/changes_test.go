package refuse

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"shopstream/infra/internal/config"
)

// settings are those of the default profile, with some changed.
func settings(t *testing.T, pairs map[string]string) (Settings, []string) {
	t.Helper()
	all := map[string]string{"profile": config.Default}
	for key, value := range pairs {
		all[key] = value
	}
	c, _, err := config.Load(all)
	if err != nil {
		t.Fatal(err)
	}
	return Of(c), c.Accept
}

// external is an external Kafka.
const external = `{"external": {"bootstrapServers": ["b-1:9096"]}}`

// dumps have a volume.
const dumps = `{"backup": {"schedule": "30 2 * * *"}}`

// metrics have a volume of that size.
func metrics(size string) string { return `{"prometheusStorage": "` + size + `"}` }

func TestHarmfulChangesAreRefused(t *testing.T) {
	type set = map[string]string
	for name, test := range map[string]struct {
		before, now set
		wants       []string // in the error; none if the change is made
		accept      string   // the key with which it is made
	}{
		"nothing changes":             {set{}, set{}, nil, ""},
		"the same, otherwise put":     {set{"kafka": `{"storage": "2Gi"}`}, set{"kafka": `{"storage": "2048Mi"}`}, nil, ""},
		"a larger volume":             {set{}, set{"kafka": `{"storage": "4Gi"}`, "mongo": `{"storage": "4Gi"}`}, nil, ""},
		"a smaller volume":            {set{}, set{"kafka": `{"storage": "1Gi"}`}, []string{"kafka.storage: 2Gi → 1Gi", "can't shrink"}, ""},
		"a smaller one of MongoDB's":  {set{}, set{"mongo": `{"storage": "1Gi"}`}, []string{"mongo.storage: 2Gi → 1Gi"}, ""},
		"another class":               {set{}, set{"kafka": `{"storageClass": "fast"}`}, []string{"kafka.storageClass: (none) → fast"}, ""},
		"more brokers":                {set{}, set{"kafka": `{"brokers": 5}`}, nil, ""},
		"fewer brokers":               {set{"kafka": `{"brokers": 5}`}, set{}, nil, ""},
		"too few brokers":             {set{"kafka": `{"brokers": 5, "voters": 1}`}, set{"kafka": `{"brokers": 2, "voters": 1}`}, []string{"kafka.brokers: 5 → 2", "has 3 replicas", "keep 3 brokers"}, ""},
		"from one to three":           {set{"kafka": `{"brokers": 1}`}, set{"kafka": `{"brokers": 3, "voters": 1}`}, nil, ""},
		"beside controllers":          {set{"kafka": `{"brokers": 1, "controllers": 3}`}, set{"kafka": `{"controllers": 3}`}, []string{"kafka.brokers: 1 → 3", "would be restarted"}, ""},
		"from one to three, voters":   {set{"kafka": `{"brokers": 1}`}, set{}, []string{"1 voting brokers → 3 voting brokers", "kafka.voters to 1"}, ""},
		"controllers of their own":    {set{}, set{"kafka": `{"controllers": 3}`}, []string{"3 voting brokers → 3 separate controllers"}, ""},
		"voters written out":          {set{}, set{"kafka": `{"voters": 3}`}, nil, ""},
		"secured while it runs":       {set{}, set{"kafka": `{"secure": true}`}, []string{"kafka.secure: false → true"}, ""},
		"another domain":              {set{}, set{"cluster": `{"domain": "example.org"}`}, []string{"cluster.domain: cluster.local → example.org"}, ""},
		"a newer Kafka":               {set{"kafka": `{"image": "apache/kafka:4.1.0"}`}, set{}, nil, ""},
		"the next MongoDB":            {set{"mongo": `{"image": "mongo:7.0.4"}`}, set{}, nil, ""},
		"the next but one":            {set{"mongo": `{"image": "mongo:6.0.4"}`}, set{}, []string{"mongo.image: mongo:6.0.4 → mongo:8", "upgrade to 7 first"}, ""},
		"an older MongoDB":            {set{}, set{"mongo": `{"image": "mongo:7.0.4"}`}, []string{"featureCompatibilityVersion"}, "mongo.image"},
		"fewer members":               {set{"mongo": `{"members": 3}`}, set{}, []string{"mongo.members: 3 → 1", "no majority"}, "mongo.members"},
		"a database elsewhere":        {set{}, set{"mongo": `{"external": true}`}, []string{"mongo.external", "stay in the old database"}, "mongo.external"},
		"brokers of others":           {set{}, set{"kafka": external}, []string{"kafka.external: (none) → b-1:9096", "is deleted, with its volumes", "lag is 0"}, "kafka.external"},
		"brokers of its own again":    {set{"kafka": external}, set{}, []string{"kafka.external: b-1:9096 → (none)", "stay in the old cluster"}, "kafka.external"},
		"brokers of yet others":       {set{"kafka": external}, set{"kafka": `{"external": {"bootstrapServers": ["c-1:9096"]}}`}, []string{"kafka.external: b-1:9096 → c-1:9096"}, "kafka.external"},
		"one broker more":             {set{"kafka": external}, set{"kafka": `{"external": {"bootstrapServers": ["b-2:9096", "b-1:9096"], "tls": false}}`}, nil, ""},
		"fewer partitions":            {set{}, set{"topics": `{"orders": {"partitions": 3}}`}, []string{"topics.orders.partitions: 24 → 3"}, ""},
		"another name":                {set{}, set{"topics": `{"orders": {"name": "sales"}}`}, []string{"topics.orders.name: orders → sales"}, "topics.orders.name"},
		"two at once":                 {set{}, set{"topics": `{"orders": {"name": "sales"}}`, "kafka": `{"secure": true}`}, []string{"topics.orders.name", "kafka.secure"}, ""},
		"another database name":       {set{}, set{"mongo": `{"database": "other"}`}, []string{"mongo.database: shopping → other", "no longer found"}, "mongo.database"},
		"no volume for dumps":         {set{"mongo": dumps}, set{}, []string{"mongo.backup: 5Gi → no volume", "all dumps"}, "mongo.backup"},
		"a bucket for dumps":          {set{"mongo": dumps}, set{"mongo": `{"backup": {"schedule": "30 2 * * *", "s3": {"bucket": "dumps"}}}`}, []string{"mongo.backup"}, "mongo.backup"},
		"no volume that is protected": {set{"mongo": dumps, "keepVolumes": "true"}, set{}, []string{"mongo.backup", "set keepVolumes to false"}, ""},
		"a protected database":        {set{"keepVolumes": "true"}, set{"keepVolumes": "true", "mongo": `{"external": true}`}, []string{"mongo.external", "set keepVolumes to false"}, ""},
		"a first volume of metrics":   {set{}, set{"addons": metrics("2Gi")}, nil, ""},
		"a larger one":                {set{"addons": metrics("2Gi")}, set{"addons": metrics("4Gi")}, nil, ""},
		"a smaller one of metrics":    {set{"addons": metrics("2Gi")}, set{"addons": metrics("1Gi")}, []string{"addons.prometheusStorage: 2Gi → 1Gi", "can't shrink"}, ""},
		"none for metrics":            {set{"addons": metrics("2Gi")}, set{}, []string{"addons.prometheusStorage: 2Gi → no volume", "is deleted"}, "addons.prometheusStorage"},
		"no Prometheus":               {set{"addons": metrics("2Gi")}, set{"addons": `{"prometheus": false}`}, []string{"addons.prometheusStorage: 2Gi → no volume"}, "addons.prometheusStorage"},
		"metrics in another class": {
			set{"addons": metrics("2Gi")}, set{"addons": `{"prometheusStorage": "2Gi", "values": {"prometheus": {"server": {"persistentVolume": {"storageClass": "slow"}}}}}`},
			[]string{"addons.prometheusStorage: (none) → slow", "its class"}, "",
		},
		"metrics in another namespace": {
			set{"addons": metrics("2Gi")}, set{"addons": `{"prometheusStorage": "2Gi", "monitoringNamespace": "metrics"}`},
			[]string{"addons.prometheusStorage: monitoring → metrics"}, "addons.prometheusStorage",
		},
		"a volume that only a chart's values claim": {
			set{"addons": `{"grafana": true, "values": {"grafana": {"persistence": {"enabled": true, "size": "2Gi"}}}}`},
			set{"addons": `{"grafana": true, "values": {"grafana": {"persistence": {"enabled": true, "size": "1Gi"}}}}`},
			[]string{"addons.values.grafana.persistence: 2Gi → 1Gi"}, "",
		},
		"none that only a chart's values claim": {
			set{"addons": `{"values": {"grafana": {"persistence": {"enabled": true, "size": "2Gi"}}}}`}, set{},
			[]string{"addons.values.grafana.persistence: 2Gi → no volume"}, "addons.values.grafana.persistence",
		},
		"a smaller one of dumps": {
			set{"mongo": dumps}, set{"mongo": `{"backup": {"schedule": "30 2 * * *", "storage": "1Gi", "storageClass": "slow"}}`},
			[]string{"mongo.backup.storage: 5Gi → 1Gi", "mongo.backup.storageClass: (none) → slow"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := settings(t, test.before)
			now, _ := settings(t, test.now)
			err := Changes(before, now, nil)
			if (err == nil) != (len(test.wants) == 0) {
				t.Fatalf("err = %v", err)
			}
			for _, want := range test.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q: %v", want, err)
				}
			}
			if test.accept == "" {
				test.accept = "kafka.storage" // can't be accepted, and does no harm
			} else if len(test.wants) > 0 {
				if !strings.Contains(err.Error(), `add "`+test.accept+`" to accept`) {
					t.Errorf("error doesn't say how to accept it: %v", err)
				}
				test.wants = nil
				c, secrets, err := config.Load(set{"accept": `["` + test.accept + `"]`})
				if err := errors.Join(err, config.Check(c, secrets, true)); err != nil {
					t.Errorf("%q can't be accepted: %v", test.accept, err)
				}
			}
			if err := Changes(before, now, []string{test.accept}); (err == nil) != (len(test.wants) == 0) {
				t.Errorf("with %q accepted: %v", test.accept, err)
			}
		})
	}
}

func TestGrowths(t *testing.T) {
	type set = map[string]string
	const sized = `{"backup": {"schedule": "30 2 * * *", "storage": `
	for name, test := range map[string]struct {
		before, now set
		want        []Growth
	}{
		"none":                    {set{}, set{}, nil},
		"all":                     {set{"mongo": sized + `"5Gi"}}`}, set{"kafka": `{"storage": "4Gi"}`, "mongo": sized + `"9Gi", "storageClass": "slow"}, "storage": "4Gi"}`}, []Growth{{"kafka.storage", ""}, {"mongo.storage", ""}, {"mongo.backup.storage", "slow"}}},
		"of metrics":              {set{"addons": metrics("2Gi")}, set{"addons": metrics("4Gi")}, []Growth{{"addons.prometheusStorage", ""}}},
		"the first volume":        {set{}, set{"mongo": sized + `"9Gi"}}`}, nil},
		"a smaller one":           {set{"mongo": sized + `"9Gi"}}`}, set{"mongo": sized + `"5Gi"}}`}, nil},
		"of an external database": {set{"mongo": `{"external": true}`}, set{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := settings(t, test.before)
			now, _ := settings(t, test.now)
			if got := Growths(before, now); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestAnOlderKafkaThatCannotStartIsRefused(t *testing.T) {
	const level29 = `{"group.version":1,"metadata.version":29}`
	for name, test := range map[string]struct {
		was, is, features string
		asks              bool
		wants             []string
	}{
		"an older one, not finalized":    {"apache/kafka:4.3.1", "mirror:5000/kafka:4.2.0@sha256:00", level29 + "\n", true, nil},
		"an older one, finalized":        {"apache/kafka:4.3.1", "apache/kafka:4.1.2", "a line before it\n" + level29, true, []string{"4.3.1 → apache/kafka:4.1.2", "finalized at 29", "no more than 27"}},
		"of the same release":            {"apache/kafka:4.2.1", "apache/kafka:4.2.0", level29, true, nil},
		"of a release that is not known": {"apache/kafka:4.3.1", "apache/kafka:3.9.0", level29, true, []string{"unknown to this program", `add "kafka.image" to accept`}},
		"nothing was found out":          {"apache/kafka:4.3.1", "apache/kafka:4.2.0", "boom", true, []string{"could not be determined", `add "kafka.image" to accept`}},
		"a newer one":                    {"apache/kafka:4.1.0", "apache/kafka:4.3.1", "", false, nil},
		"of no number":                   {"apache/kafka:4.1.0", "kafka:ours", "", false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			before, now := Settings{Kafka: Kafka{Image: test.was}}, Settings{Kafka: Kafka{Image: test.is}}
			if asks := OlderKafka(before, now, nil); asks != test.asks {
				t.Fatalf("the features matter: %t", asks)
			}
			if OlderKafka(before, now, []string{"kafka.image"}) {
				t.Error("it was accepted, and is refused")
			}
			if !test.asks {
				return
			}
			err := Unstartable(before, now, test.features)
			if (err == nil) != (len(test.wants) == 0) {
				t.Fatalf("err = %v", err)
			}
			for _, want := range test.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q: %v", want, err)
				}
			}
		})
	}
}

func TestSettingsRoundTrip(t *testing.T) {
	before, _ := settings(t, nil)
	text, err := before.Text()
	if err != nil {
		t.Fatal(err)
	}
	read, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := read.Text(); err != nil || again != text || !json.Valid([]byte(text)) {
		t.Errorf("wrote %s, read %s (%v)", text, again, err)
	}
	if _, err := Parse("{"); err == nil {
		t.Error("half a text was read")
	}
}
