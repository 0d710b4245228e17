package platform

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/golden"
	"shopstream/infra/internal/netpol"
	"shopstream/infra/internal/plan"
)

// TestConfigurationPage generates docs/infra-configuration.md from the configuration's structs and their comments, and
// fails if the page is stale.
func TestConfigurationPage(t *testing.T) {
	comments := fieldComments(t, "../config/config.go", "../config/kafka.go", "../config/tracing.go", "../config/secrets.go")

	var page bytes.Buffer
	page.WriteString(`<!-- Generated from infra/internal/config: go test -trimpath ./internal/platform -run TestConfigurationPage -update -->
# Configuration of a stack

Every key of ` + "`Pulumi.<stack>.yaml`" + `. A profile sets the defaults, and a stack writes down only what it wants different:

` + "```" + `
pulumi config set profile small
pulumi config set --path kafka.brokers 3
pulumi config set --path services.producer.env.RATE '"50"'
pulumi config set --secret apiToken
` + "```" + `

Keys that do not exist, values of another type, and settings that can't work together are all reported at once, before
anything is made.
`)
	columns := make([]reflect.Value, 0, 3)
	for _, profile := range config.Profiles() {
		c, err := config.Defaults(profile)
		if err != nil {
			t.Fatal(err)
		}
		columns = append(columns, reflect.ValueOf(c))
	}
	configType := columns[0].Type()
	writeHeading(&page, "The stack", "")
	for i := range configType.NumField() {
		if field := configType.Field(i); !isSection(field.Type) {
			writeRow(t, &page, comments, configType, field, "", fieldOf(columns, i))
		}
	}
	for i := range configType.NumField() {
		if field := configType.Field(i); isSection(field.Type) {
			writeSection(t, &page, comments, field.Tag.Get("json"), withoutSubject(comments["Config."+field.Name], field.Name), fieldOf(columns, i))
		}
	}

	page.WriteString("\n## Secrets\n\nSet with `pulumi config set --secret KEY`. They are encrypted in the stack's file and in the " +
		"state, and a preview needs none.\n\n| key | meaning |\n|---|---|\n")
	secretsType := reflect.TypeFor[config.Secrets]()
	for i := range secretsType.NumField() {
		field := secretsType.Field(i)
		fmt.Fprintf(&page, "| `%s` | %s |\n", field.Tag.Get("json"), commentOf(t, comments, secretsType, field))
	}
	golden.Compare(t, "../../../docs/infra-configuration.md", page.Bytes())
}

// isSection reports whether a type is an object with its own keys.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[resource.Quantity]()
}

func fieldOf(columns []reflect.Value, i int) []reflect.Value {
	fields := make([]reflect.Value, len(columns))
	for c := range columns {
		fields[c] = columns[c].Field(i)
	}
	return fields
}

func writeHeading(page *bytes.Buffer, title, comment string) {
	fmt.Fprintf(page, "\n## %s\n\n", title)
	if comment != "" {
		fmt.Fprintf(page, "%s\n\n", comment)
	}
	fmt.Fprintf(page, "| key | type | %s | meaning |\n|---|---|---|---|---|---|\n", strings.Join(config.Profiles(), " | "))
}

// writeSection writes the rows of a section: its plain keys, then those of the objects in it.
func writeSection(
	t *testing.T, page *bytes.Buffer, comments map[string]string, path, comment string, columns []reflect.Value,
) {
	writeHeading(page, "`"+path+"`", comment)
	writeRows(t, page, comments, path, columns)
}

func writeRows(t *testing.T, page *bytes.Buffer, comments map[string]string, path string, columns []reflect.Value) {
	section := columns[0].Type()
	for i := range section.NumField() {
		field := section.Field(i)
		if isSection(field.Type) {
			fmt.Fprintf(page, "| **`%s.%s`** | object | | | | %s |\n", path, field.Tag.Get("json"),
				commentOf(t, comments, section, field))
			writeRows(t, page, comments, path+"."+field.Tag.Get("json"), fieldOf(columns, i))
			continue
		}
		writeRow(t, page, comments, section, field, path+".", fieldOf(columns, i))
	}
}

func writeRow(
	t *testing.T, page *bytes.Buffer, comments map[string]string, section reflect.Type, field reflect.StructField,
	prefix string, values []reflect.Value,
) {
	cells := make([]string, len(values))
	for i, value := range values {
		cells[i] = cell(value)
	}
	fmt.Fprintf(page, "| `%s%s` | %s | %s | %s |\n", prefix, field.Tag.Get("json"), config.KindName(field.Type),
		strings.Join(cells, " | "), commentOf(t, comments, section, field))
}

// cell formats a default for the page.
func cell(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case resource.Quantity:
		return "`" + value.String() + "`"
	case config.Duration:
		return "`" + value.String() + "`"
	case string:
		if value == "" {
			return ""
		}
		return "`" + value + "`"
	}
	if (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0 {
		return ""
	}
	return "`" + strings.Trim(fmt.Sprint(v.Interface()), "[]") + "`"
}

func commentOf(t *testing.T, comments map[string]string, section reflect.Type, field reflect.StructField) string {
	t.Helper()
	comment := comments[section.Name()+"."+field.Name]
	if comment == "" {
		t.Errorf("%s.%s has no comment", section.Name(), field.Name)
	}
	if field.Tag.Get("json") == "" {
		t.Errorf("%s.%s has no key", section.Name(), field.Name)
	}
	return withoutSubject(comment, field.Name)
}

// withoutSubject removes the field's Go name, with which its comment begins: "Host is the name" becomes "The name".
func withoutSubject(comment, name string) string {
	rest := strings.TrimPrefix(comment, name+" ")
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, "is "), "are ")
	if rest == "" {
		return comment
	}
	return strings.ToUpper(rest[:1]) + rest[1:]
}

// fieldComments returns the comments of all fields of the structs in some files, by "Type.Field".
func fieldComments(t *testing.T, files ...string) map[string]string {
	t.Helper()
	comments := map[string]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			spec, isType := node.(*ast.TypeSpec)
			if !isType {
				return true
			}
			if structure, isStruct := spec.Type.(*ast.StructType); isStruct {
				for _, field := range structure.Fields.List {
					for _, fieldName := range field.Names {
						text := strings.Join(strings.Fields(field.Doc.Text()), " ")
						comments[spec.Name.Name+"."+fieldName.Name] = text
					}
				}
			}
			return false
		})
	}
	return comments
}

// TestNetworkPage generates docs/infra-network.md from the calls, and fails if the page is stale.
func TestNetworkPage(t *testing.T) {
	c, err := config.Defaults(config.Default)
	if err != nil {
		t.Fatal(err)
	}
	graph := plan.Graph(c)
	var page bytes.Buffer
	page.WriteString(`<!-- Generated from infra/internal/plan: go test -trimpath ./internal/platform -run TestNetworkPage -update -->
# Who may call whom

The namespaces ` + "`" + strings.Join(graph.Closed, "`, `") + "`" + ` are closed: what is not in this table is refused, in
both directions, on a cluster whose network enforces policies. (minikube does with ` + "`--cni=calico`" + `; its default network
ignores them.) Ports are the pods' own, behind any Service. "anywhere" is what no selector can match: the API server and
the kubelets have addresses of nodes.

| from | to | ports | for |
|---|---|---|---|
`)
	rows := map[string]bool{}
	for _, call := range graph.Calls {
		rows[fmt.Sprintf("| %s | %s | %s | %s |\n", describe(call.From), describe(call.To), portList(call.Ports), call.Why)] = true
	}
	for _, row := range slices.Sorted(maps.Keys(rows)) {
		page.WriteString(row)
	}
	page.WriteString("\nWith `addons.jaeger` also:\n\n| from | to | ports | for |\n|---|---|---|---|\n")
	traced, _, err := config.Load(map[string]string{"addons": `{"jaeger": true}`})
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range plan.Graph(traced).Calls {
		row := fmt.Sprintf("| %s | %s | %s | %s |\n", describe(call.From), describe(call.To), portList(call.Ports), call.Why)
		if !rows[row] {
			page.WriteString(row)
		}
	}
	page.WriteString(`
With an external Kafka (` + "`kafka.external`" + `) there are no pods of Kafka, and with an external database (` + "`mongo.external`" + `) none of
MongoDB. What is allowed then in place of the calls to and among them, and for traces (` + "`tracing`" + `), here with addresses and ports from
the documentation's ranges:

| from | to | ports | for |
|---|---|---|---|
`)
	c.Tracing = config.Tracing{Endpoint: "https://otlp.example.com", Addresses: []string{"203.0.113.0/24"}}
	c.Kafka = config.Kafka{External: config.ExternalKafka{BootstrapServers: []string{"b-1.example.com:9096"}, Addresses: []string{"198.51.100.0/24"}}}
	c.Mongo.External, c.Mongo.ExternalAddresses = true, []string{"192.0.2.0/24"}
	for _, call := range plan.Graph(c).Calls {
		if len(call.To.Addresses) > 0 {
			fmt.Fprintf(&page, "| %s | %s | %s | %s |\n", describe(call.From), describe(call.To), portList(call.Ports), call.Why)
		}
	}
	golden.Compare(t, "../../../docs/infra-network.md", page.Bytes())
}

func describe(p netpol.Peer) string {
	switch {
	case p.Namespace == "" && len(p.Addresses) == 0:
		return p.Name + " (anywhere)"
	case p.Namespace == "":
		return p.Name + " (" + strings.Join(p.Addresses, ", ") + ")"
	case len(p.Labels) == 0:
		return "every pod of `" + p.Namespace + "`"
	default:
		return "`" + p.Namespace + "/" + p.Name + "`"
	}
}

func portList(ports []netpol.Port) string {
	list := make([]string, 0, len(ports))
	for _, p := range ports {
		list = append(list, fmt.Sprintf("%s %d", p.Protocol, p.Number))
	}
	return strings.Join(list, ", ")
}

// TestExamplesInTheDocsAreValid tries each example of a stack's settings, as it would be in the stack's file.
func TestExamplesInTheDocsAreValid(t *testing.T) {
	pages, err := filepath.Glob("../../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)\n```yaml\n(shopstream:.+?)```")
	tried := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range example.FindAllStringSubmatch(string(text), -1) {
			tried++
			file := filepath.Join(t.TempDir(), "Pulumi.mine.yaml")
			if err := os.WriteFile(file, []byte("config:\n  "+strings.ReplaceAll(block[1], "\n", "\n  ")), 0o600); err != nil {
				t.Fatal(err)
			}
			settings, err := config.ReadStackFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, secrets, err := config.Load(settings)
			if err := errors.Join(err, plan.Check(c, secrets, true)); err != nil || len(settings) == 0 {
				t.Errorf("%s:\n%s%v", page, block[1], err)
			}
		}
	}
	if tried < 2 {
		t.Errorf("there are %d examples", tried)
	}
}
