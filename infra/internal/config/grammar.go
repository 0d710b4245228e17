package config

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/robfig/cron/v3"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Each function below checks one value against the grammar of its reader, and returns its faults.

// Fault names the key, what is wrong with its value, and what to do.
func Fault(key, format string, args ...any) error {
	return fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...))
}

// OneOf checks that a value is one of those allowed. An empty one among them makes the key optional.
func OneOf(key, value string, allowed ...string) []error {
	if slices.Contains(allowed, value) {
		return nil
	}
	choices, optional := strings.Join(allowed, ", "), ""
	if rest, ok := strings.CutPrefix(choices, ", "); ok {
		choices, optional = rest, ", or nothing"
	}
	return []error{Fault(key, "%q: set one of %s%s", value, choices, optional)}
}

func notEmpty(key, value, fix string) []error {
	if value != "" {
		return nil
	}
	return []error{Fault(key, "is empty: %s", fix)}
}

// between checks that a number is within limits.
func between(key string, n, least, most int) []error {
	switch {
	case n < least:
		return []error{Fault(key, "%d: set %d or more", n, least)}
	case n > most:
		return []error{Fault(key, "%d: set %d or less", n, most)}
	}
	return nil
}

func ports(key string, numbers ...int) []error {
	var faults []error
	for _, n := range numbers {
		faults = append(faults, between(key, n, 1, 65535)...)
	}
	return faults
}

// cpu checks that a number of CPUs is greater than 0, and in whole millicores.
func cpu(key string, q resource.Quantity) []error {
	if q.Sign() <= 0 {
		return []error{Fault(key, "is %s: must be greater than 0", q.String())}
	}
	if q.Cmp(*resource.NewMilliQuantity(q.MilliValue(), resource.DecimalSI)) != 0 {
		return []error{Fault(key, "%s is not a whole number of millicores: write it like 250m", q.String())}
	}
	return nil
}

// cpus checks a request and its limit, whose key ends in Limit.
func cpus(key string, request, limit resource.Quantity) []error {
	faults := append(cpu(key, request), cpu(key+"Limit", limit)...)
	if request.Cmp(limit) > 0 {
		faults = append(faults, Fault(key, "%s is more than %sLimit, which is %s: raise the limit or lower the request",
			request.String(), key, limit.String()))
	}
	return faults
}

// bytes checks that a size of memory or storage is in whole bytes, and not below least.
func bytes(key string, q, least resource.Quantity) []error {
	if q.Cmp(*resource.NewQuantity(q.Value(), resource.BinarySI)) != 0 {
		return []error{Fault(key, "%s is not a whole number of bytes: write it like 512Mi", q.String())}
	}
	if q.Cmp(least) < 0 {
		return []error{Fault(key, "%s: set %s or more", q.String(), least.String())}
	}
	return nil
}

// span checks that a duration is greater than 0, in whole units.
func span(key string, d Duration, unit time.Duration) []error {
	if time.Duration(d) < unit || time.Duration(d)%unit != 0 {
		return []error{Fault(key, "%s: must be greater than 0 and a whole number of %s", d, unit)}
	}
	return nil
}

// cidrs checks blocks of addresses by the rules of NetworkPolicy.
func cidrs(key string, blocks []string) []error {
	var faults []error
	for _, block := range blocks {
		prefix, err := netip.ParsePrefix(block)
		switch {
		case err != nil || prefix.Addr().Is4In6():
			faults = append(faults, Fault(key, "%q is not a CIDR block: write it like 10.0.0.0/16", block))
		case prefix != prefix.Masked():
			faults = append(faults, Fault(key, "%q is an address within a block: write %s, or %s/%d for this address alone",
				block, prefix.Masked(), prefix.Addr(), prefix.Addr().BitLen()))
		}
	}
	return faults
}

// objectName checks the name of a Kubernetes object; empty is valid.
func objectName(key, name string) []error {
	if name == "" || len(validation.IsDNS1123Subdomain(name)) == 0 {
		return nil
	}
	return []error{Fault(key, "%q is not a valid name of a Kubernetes object: use lower-case letters, digits, dots and dashes", name)}
}

// namespaceName checks the name of a namespace.
func namespaceName(key, name string) []error {
	if name == "" {
		return []error{Fault(key, "is empty: name a namespace")}
	}
	var faults []error
	for _, problem := range validation.IsDNS1123Label(name) {
		faults = append(faults, Fault(key, "%q: %s", name, problem))
	}
	return faults
}

// hostName checks the host name of an Ingress or HTTPRoute, which can't be an address; empty is valid.
func hostName(key, name string) []error {
	if name == "" {
		return nil
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return []error{Fault(key, "%q is an address, and a route needs a name: leave it out, or set a name that resolves to it", name)}
	}
	problems := validation.IsDNS1123Subdomain(name)
	if strings.HasPrefix(name, "*.") {
		problems = validation.IsWildcardDNS1123Subdomain(name)
	}
	for _, part := range strings.Split(name, ".") {
		if len(part) > validation.DNS1123LabelMaxLength {
			problems = append(problems, "a part is longer than 63 letters")
		}
	}
	if len(problems) > 0 {
		return []error{Fault(key, "%q is not a host name: write it like shop.example.com, without scheme, port or path", name)}
	}
	return nil
}

// annotations checks annotations by the rules of the API server.
func annotations(key string, set map[string]string) []error {
	var faults []error
	size := 0
	for _, name := range slices.Sorted(maps.Keys(set)) {
		size += len(name) + len(set[name])
		for _, problem := range validation.IsQualifiedName(strings.ToLower(name)) {
			faults = append(faults, Fault(key, "%q is not a valid name of an annotation: %s", name, problem))
		}
	}
	if size > 256<<10 {
		faults = append(faults, Fault(key, "has %d bytes: Kubernetes allows 262144", size))
	}
	return faults
}

// pinnedImage checks that an image name is valid, with a digest or a tag other than latest.
func pinnedImage(key, image string) []error {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return []error{Fault(key, "%q is not a valid image name: %v", image, err)}
	}
	tagged, hasTag := named.(reference.Tagged)
	_, hasDigest := named.(reference.Digested)
	if !hasDigest && (!hasTag || tagged.Tag() == "latest") {
		return []error{Fault(key, "%q is not pinned: add a version or a digest", image)}
	}
	return nil
}

// registry checks the beginning of an image name; empty is valid.
func registry(key, value string) []error {
	if value == "" {
		return nil
	}
	named, err := reference.ParseNormalizedNamed(value + "/image")
	if err != nil || !reference.IsNameOnly(named) || value != strings.ToLower(value) {
		return []error{Fault(key, "%q is not the beginning of an image name: write it in lower case and without a scheme, "+
			"like registry.example.com/team", value)}
	}
	return nil
}

// address checks that a URL is absolute and has one of some schemes, and a host or the path of a socket; empty is valid.
func address(key, value string, schemes ...string) []error {
	if value == "" {
		return nil
	}
	parsed, err := url.Parse(value)
	if err != nil || !slices.Contains(schemes, parsed.Scheme) || parsed.Opaque != "" {
		return []error{Fault(key, "%q: write it like %s://…", value, strings.Join(schemes, "://… or "))}
	}
	if parsed.Scheme == "unix" || parsed.Scheme == "npipe" {
		if parsed.Path == "" {
			return []error{Fault(key, "%q names no socket: write it like unix:///var/run/docker.sock", value)}
		}
		return nil
	}
	if parsed.Hostname() == "" {
		return []error{Fault(key, "%q names no host: write it like %s://host…", value, parsed.Scheme)}
	}
	if port, err := strconv.Atoi(parsed.Port()); parsed.Port() != "" && (err != nil || port < 1 || port > 65535) {
		return []error{Fault(key, "%q has a port that is not from 1 to 65535", value)}
	}
	return nil
}

// variableName checks the name of an environment variable that a stack may set.
func variableName(key, name string) []error {
	if len(validation.IsCIdentifier(name)) > 0 {
		return []error{Fault(key, "%q is not a valid name of an environment variable: use letters, digits and underscores", name)}
	}
	if slices.Contains([]string{"HTTP_ADDR", "DRAIN_DELAY", "SHUTDOWN_TIMEOUT"}, name) {
		return []error{Fault(key, "%s follows from the port and the time that a pod has to stop: leave it out", name)}
	}
	return nil
}

// topicName checks that Kafka accepts a name, and doesn't use it itself.
func topicName(key, name string) []error {
	switch {
	case name == "." || name == ".." || !regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`).MatchString(name):
		return []error{Fault(key, "%q is not a valid topic name: use letters, digits, dots, dashes and underscores, 249 at most", name)}
	case strings.HasPrefix(name, "__"):
		return []error{Fault(key, "%q: names that begin with __ are Kafka's own", name)}
	}
	return nil
}

// databaseName checks that MongoDB accepts a name on every system, and in an address without escapes.
func databaseName(key, name string) []error {
	switch {
	case !regexp.MustCompile(`^[a-zA-Z0-9_-]{1,63}$`).MatchString(name):
		return []error{Fault(key, "%q is not a valid database name: use letters, digits, dashes and underscores, 63 at most", name)}
	case slices.Contains([]string{"admin", "config", "local"}, strings.ToLower(name)):
		return []error{Fault(key, "%q is one of MongoDB's own databases: set another name", name)}
	}
	return nil
}

// mongoURI checks a connection string. Its faults don't quote it, since it holds a password.
func mongoURI(key, value string) []error {
	parsed, err := url.Parse(value)
	switch {
	case !strings.HasPrefix(value, "mongodb://") && !strings.HasPrefix(value, "mongodb+srv://"):
		return []error{Fault(key, "begins with neither mongodb:// nor mongodb+srv://")}
	case err != nil || parsed.Host == "":
		return []error{Fault(key, "is not a connection string: write user, password and hosts like mongodb://user:password@host:27017/, "+
			"and escape special characters, such as @ as %%40")}
	case parsed.Scheme == "mongodb+srv" && (parsed.Port() != "" || strings.Contains(parsed.Host, ",")):
		return []error{Fault(key, "begins with mongodb+srv:// and names a port or several hosts, which it looks up itself: "+
			"name one host, or begin with mongodb://")}
	}
	return nil
}

// strongPassword checks that a password is long, and needs no escapes in addresses and in the brokers' settings.
func strongPassword(key, password string) []error {
	if StrongPassword(password) {
		return nil
	}
	return []error{Fault(key, "is written into an address without escapes: use 16 letters and digits or more, and nothing else")}
}

// StrongPassword reports whether a password is long, and needs no escapes anywhere.
func StrongPassword(password string) bool {
	return regexp.MustCompile(`^[a-zA-Z0-9]{16,}$`).MatchString(password)
}

// bearerToken checks that an Authorization header can hold a token (RFC 6750).
func bearerToken(key, token string) []error {
	if regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`).MatchString(token) {
		return nil
	}
	return []error{Fault(key, "has characters that a header can't hold: use letters, digits and - . _ ~ + / only")}
}

// schedule checks a schedule as the API server does, which refuses a time zone in it.
func schedule(key, value string) []error {
	if !strings.Contains(value, "TZ") {
		if _, err := cron.ParseStandard(value); err == nil {
			return nil
		}
	}
	return []error{Fault(key, "%q is not a schedule: write minute, hour, day, month and weekday, such as \"30 2 * * *\" for every night", value)}
}
