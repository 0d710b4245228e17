package platform

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/manifest"
	"shopstream/infra/internal/plan"
	"shopstream/infra/internal/refuse"
)

// holders are the types of resources with data, and the fields whose change makes the provider replace one.
var holders = map[string][]string{
	"kubernetes:apps/v1:StatefulSet":           {"spec.podManagementPolicy", "spec.revisionHistoryLimit", "spec.selector", "spec.serviceName", "spec.volumeClaimTemplates"},
	"kubernetes:core/v1:Namespace":             nil, // if it holds one of the others
	"kubernetes:core/v1:PersistentVolumeClaim": {"spec"},
	"kubernetes:core/v1:Secret":                {"type"}, // if its values are generated
	"kubernetes:helm.sh/v3:Release":            nil,      // if its chart claims volumes
}

// others have no data, or none that isn't declared.
var others = []string{
	"docker:index/image:Image", "pulumi:index:Stash", "kubernetes:apps/v1:Deployment", "kubernetes:autoscaling/v2:HorizontalPodAutoscaler",
	"kubernetes:batch/v1:CronJob", "kubernetes:batch/v1:Job", "kubernetes:core/v1:ConfigMap", "kubernetes:core/v1:PersistentVolumeClaimPatch",
	"kubernetes:core/v1:Service", "kubernetes:core/v1:ServiceAccount", "kubernetes:gateway.networking.k8s.io/v1:Gateway",
	"kubernetes:gateway.networking.k8s.io/v1:HTTPRoute", "kubernetes:keda.sh/v1alpha1:ScaledObject", "kubernetes:keda.sh/v1alpha1:TriggerAuthentication",
	"kubernetes:networking.k8s.io/v1:Ingress", "kubernetes:networking.k8s.io/v1:NetworkPolicy", "kubernetes:policy/v1:PodDisruptionBudget",
	"kubernetes:rbac.authorization.k8s.io/v1:ClusterRole", "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding",
	"kubernetes:rbac.authorization.k8s.io/v1:Role", "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
}

// held returns what has data, by URN: what must not change of it, or else it is replaced.
func held(t *testing.T, c config.Config, declared resources) map[string]string {
	t.Helper()
	found, inside := map[string]string{}, map[any]bool{}
	for _, r := range declared {
		fields, holds := holders[r.Type]
		switch {
		case !r.Custom, strings.HasPrefix(r.Type, "pulumi:providers:"), slices.Contains(others, r.Type):
			continue
		case !holds:
			t.Errorf("does %s %q hold data? Add the type to holders or to others", r.Type, r.Name)
		case r.Type == "kubernetes:core/v1:Secret" && len(r.Ignored) == 0:
			continue
		case r.Type == "kubernetes:helm.sh/v3:Release":
			if volumes := claimed(c, r.Name); len(volumes) > 0 {
				found[r.URN], inside[field(r, "namespace")] = fmt.Sprint(field(r, "namespace"), volumes), true
			}
			continue
		}
		identity := fmt.Sprint(field(r, "metadata.name"), field(r, "metadata.namespace"))
		for _, path := range fields {
			if !slices.Contains(r.Ignored, path) {
				identity += fmt.Sprint(" ", path, field(r, path))
			}
		}
		found[r.URN], inside[field(r, "metadata.namespace")] = identity, true
	}
	for _, r := range declared {
		if r.Type == "kubernetes:core/v1:Namespace" && !inside[field(r, "metadata.name")] {
			delete(found, r.URN)
		}
	}
	return found
}

// claimed returns the volumes of a chart, without their sizes: they grow in place.
func claimed(c config.Config, chart string) []string {
	var volumes []string
	for _, installed := range plan.Charts(c) {
		for path, values := range installed.Volumes() {
			if installed.Name == chart {
				volumes = append(volumes, fmt.Sprint(path, values["storageClass"], values["storageClassName"]))
			}
		}
	}
	slices.Sort(volumes)
	return volumes
}

func field(r manifest.Resource, path string) any {
	var value any = r.Inputs.Mappable()
	for key := range strings.SplitSeq(path, ".") {
		inner, _ := value.(map[string]any)
		value = inner[key]
	}
	return value
}

// values are other values of keys for which changing the value a bit gives no valid one.
var values = map[string][]string{
	"profile":                           nil, // sets other keys
	"logLevel":                          {`"debug"`},
	"cluster.apiServerPorts":            {"[6443]"},
	"cluster.dnsAddresses":              {`["192.0.2.1/32"]`},
	"cluster.nodeMemory":                {`"64Gi"`},
	"images.load":                       nil, // not with a registry
	"images.platform":                   {`"linux/arm64"`},
	"images.dockerHost":                 {`"tcp://docker:2375"`},
	"kafka.external":                    {`{"external": {"bootstrapServers": ["b-1:9096"], "addresses": ["192.0.2.0/24"], "sasl": "PLAIN"}}`},
	"kafka.controllers":                 {"0", "5"},
	"kafka.voters":                      nil, // not beside separate controllers
	"kafka.secure":                      nil, // required
	"topics.productTotals.retention":    nil, // it is compacted
	"mongo.externalAddresses":           nil, // set with mongo.external
	"mongo.externalPort":                nil,
	"mongo.external":                    {`{"external": true, "externalAddresses": ["192.0.2.0/24"]}`},
	"mongo.members":                     nil, // 3 is required
	"mongo.backup.schedule":             {`""`, `"0 4 * * *"`},
	"mongo.backup.drill":                {`"0 4 * * *"`},
	"mongo.backup.s3.bucket":            {`"dumps"`},
	"mongo.backup.s3.endpoint":          {`"https://store.example.com"`},
	"mongo.backup.s3.addresses":         {`["192.0.2.0/24"]`},
	"services.webServer.drainPerSecond": nil, // it scales on CPU
	"services.webServer.catchUp":        nil,
	"services.webServer.env":            {`{"A": "b"}`},
	"ingress.controller":                {`"nginx"`},
	"ingress.api":                       nil, // follows from the controller
	"ingress.annotations":               {`{"a": "b"}`},
	"ingress.serviceType":               {`"NodePort"`},
	"tracing.endpoint":                  nil, // see tracing
	"tracing.namespace":                 nil,
	"tracing.addresses":                 nil,
	"tracing.url":                       {`"https://traces.example.com/trace/{id}"`},
	"accept":                            nil, // accepting is no change
	"addons.repository":                 {`"https://charts.example.com"`},
	"addons.runbooks":                   {`"https://git.example.com/docs"`},
	"addons.values": {
		`{}`, `{"prometheus": {"server": {"persistentVolume": {"storageClass": "slow"}}}, "grafana": {"persistence": {"enabled": true, "size": "1Gi"}}}`,
	},
}

// keys returns every key of a section with its value, those of services and topics once: they have the same keys.
func keys(section reflect.Value, prefix string, found map[string]reflect.Value) {
	for i := range section.NumField() {
		key, value := prefix+section.Type().Field(i).Tag.Get("json"), section.Field(i)
		switch {
		case value.Kind() != reflect.Struct || value.Type() == reflect.TypeFor[resource.Quantity](), key == "kafka.external":
			found[key] = value
		case i == 0 || value.Type() != section.Field(0).Type():
			keys(value, key+".", found)
		}
	}
}

// otherValues returns values of a key, in JSON.
func otherValues(key string, value reflect.Value) []string {
	if own, listed := values[key]; listed {
		return own
	}
	switch v := value.Interface().(type) {
	case bool:
		return []string{fmt.Sprint(!v)}
	case int:
		return []string{fmt.Sprint(v + 1)}
	case string:
		return []string{fmt.Sprintf("%q", v+"2")}
	case config.Duration:
		return []string{fmt.Sprintf("%q", 2*time.Duration(v))}
	case resource.Quantity:
		twice, half := v.DeepCopy(), v.DeepCopy()
		twice.Mul(2)
		half.Set(v.Value()/2 + 1)
		return []string{fmt.Sprintf("%q", twice.String()), fmt.Sprintf("%q", half.String())}
	}
	return []string{"no value"}
}

// with returns the settings with another value of a key.
func with(t *testing.T, settings map[string]string, key, value string) map[string]string {
	t.Helper()
	changed := maps.Clone(settings)
	section, path, nested := strings.Cut(key, ".")
	if !nested || strings.HasSuffix(key, ".external") { // beside which no other key of the section may be set
		changed[section] = strings.Trim(value, `"`)
		return changed
	}
	whole := map[string]any{}
	if text := settings[section]; text != "" {
		if err := json.Unmarshal([]byte(text), &whole); err != nil {
			t.Fatal(err)
		}
	}
	inner, parts := whole, strings.Split(path, ".")
	for _, part := range parts[:len(parts)-1] {
		next, _ := inner[part].(map[string]any)
		if next == nil {
			next = map[string]any{}
		}
		inner[part], inner = next, next
	}
	inner[parts[len(parts)-1]] = json.RawMessage(value)
	text, err := json.Marshal(whole)
	if err != nil {
		t.Fatalf("%s: %v; give it other values", key, err)
	}
	changed[section] = string(text)
	return changed
}

// TestNoChangeOfAKeyTakesDataUnasked changes every key of a stack that has all that holds data, there and back: what is replaced or
// removed by that must be refused.
func TestNoChangeOfAKeyTakesDataUnasked(t *testing.T) {
	stack := testStack{file: "prod", settings: map[string]string{
		"addons": `{"values": {"grafana": {"persistence": {"enabled": true, "size": "2Gi"}}}}`,
	}}
	run := func(settings map[string]string) (refuse.Settings, map[string]string, error) {
		c, _, err := config.Load(settings)
		if err != nil {
			return refuse.Settings{}, nil, err
		}
		declared, err := manifest.Run(Program(testHost(t), settings), manifest.Stack{Project: config.Project, Name: stack.file, Preview: true})
		return refuse.Of(c), held(t, c, declared), err
	}
	base := stack.config(t)
	before, had, err := run(base)
	if err != nil {
		t.Fatal(err)
	}
	for kind := range holders {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(had)), func(urn string) bool { return strings.Contains(urn, kind+"::") }) {
			t.Errorf("the stack has no %s that holds data", kind)
		}
	}
	c, _ := stack.parsed(t)
	found := map[string]reflect.Value{}
	keys(reflect.ValueOf(c), "", found)
	for key, value := range found {
		for _, other := range otherValues(key, value) {
			now, has, err := run(with(t, base, key, other))
			if err != nil {
				t.Errorf("%s = %s: %v; give it other values", key, other, err)
				continue
			}
			if lost := missing(had, has); len(lost) > 0 && refuse.Changes(before, now, nil) == nil {
				t.Errorf("%s = %s isn't refused, and replaces or removes %q", key, other, lost)
			}
			if lost := missing(has, had); len(lost) > 0 && refuse.Changes(now, before, nil) == nil {
				t.Errorf("%s = %s, taken back, isn't refused, and replaces or removes %q", key, other, lost)
			}
		}
	}
}

// missing returns the URNs that another run lacks, or has with another identity.
func missing(from, in map[string]string) []string {
	var lost []string
	for urn, identity := range from {
		if in[urn] != identity {
			lost = append(lost, urn[strings.LastIndex(urn, "$")+1:])
		}
	}
	return lost
}
