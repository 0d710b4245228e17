package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// What follows checks one value each against the grammar of whoever reads it, and returns its faults.

// Fault names the key, what is wrong with its value, and what to do.
func Fault(key, format string, args ...any) error {
	return fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...))
}

// OneOf wants one of some values. An empty one among them makes the key optional.
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

// between wants a number that its reader can hold, and that this program can count up to.
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

// cpu wants a request that is more than nothing and not above its limit, in whole thousandths as Kubernetes counts.
func cpu(key string, request, limit resource.Quantity) []error {
	var faults []error
	if request.Sign() <= 0 {
		faults = append(faults, Fault(key, "is %s: must be greater than 0", request.String()))
	}
	if request.Cmp(limit) > 0 {
		faults = append(faults, Fault(key, "%s is more than %sLimit, which is %s: raise the limit or lower the request",
			request.String(), key, limit.String()))
	}
	for name, q := range map[string]resource.Quantity{key: request, key + "Limit": limit} {
		if q.Cmp(*resource.NewMilliQuantity(q.MilliValue(), resource.DecimalSI)) != 0 {
			faults = append(faults, Fault(name, "%s is finer than a thousandth of a CPU: write it like 250m", q.String()))
		}
	}
	return faults
}

// bytes wants a size of memory or storage: whole bytes, and no fewer than least.
func bytes(key string, q, least resource.Quantity) []error {
	if q.Cmp(*resource.NewQuantity(q.Value(), resource.BinarySI)) != 0 {
		return []error{Fault(key, "%s is no whole number of bytes: write it like 512Mi", q.String())}
	}
	if q.Cmp(least) < 0 {
		return []error{Fault(key, "%s: set %s or more", q.String(), least.String())}
	}
	return nil
}

// span wants a positive time span in whole units.
func span(key string, d Duration, unit time.Duration) []error {
	if time.Duration(d) < unit || time.Duration(d)%unit != 0 {
		return []error{Fault(key, "%s: must be greater than 0 and a whole number of %s", d, unit)}
	}
	return nil
}

// cidrs wants blocks of addresses as a NetworkPolicy takes them.
func cidrs(key string, blocks []string) []error {
	var faults []error
	for _, block := range blocks {
		prefix, err := netip.ParsePrefix(block)
		switch {
		case err != nil || prefix.Addr().Is4In6():
			faults = append(faults, Fault(key, "%q is no CIDR block: write it like 10.0.0.0/16", block))
		case prefix != prefix.Masked():
			faults = append(faults, Fault(key, "%q is an address within a block: write %s, or %s/%d for this address alone",
				block, prefix.Masked(), prefix.Addr(), prefix.Addr().BitLen()))
		}
	}
	return faults
}

// objectName wants the name of a Kubernetes object, or nothing.
func objectName(key, name string) []error {
	if name == "" || len(validation.IsDNS1123Subdomain(name)) == 0 {
		return nil
	}
	return []error{Fault(key, "%q is no name of a Kubernetes object: use lower-case letters, digits, dots and dashes", name)}
}

// namespaceName wants the name of a namespace.
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

// hostName wants the host of an Ingress or of an HTTPRoute, which no address can be, or nothing.
func hostName(key, name string) []error {
	if name == "" {
		return nil
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return []error{Fault(key, "%q is an address, and a route is for a name: leave it out, or set a name that resolves to it", name)}
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
		return []error{Fault(key, "%q is no host name: write it like shop.example.com, without scheme, port or path", name)}
	}
	return nil
}

// annotations wants what the API server takes as annotations.
func annotations(key string, set map[string]string) []error {
	var faults []error
	size := 0
	for name, value := range set {
		size += len(name) + len(value)
		for _, problem := range validation.IsQualifiedName(strings.ToLower(name)) {
			faults = append(faults, Fault(key, "%q is no name of an annotation: %s", name, problem))
		}
	}
	if size > 256<<10 {
		faults = append(faults, Fault(key, "holds %d bytes: Kubernetes takes 262144", size))
	}
	return faults
}

// pinnedImage wants an image as container runtimes name it, with a digest or a tag that does not move.
func pinnedImage(key, image string) []error {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return []error{Fault(key, "%q is no name of an image: %v", image, err)}
	}
	tagged, hasTag := named.(reference.Tagged)
	_, hasDigest := named.(reference.Digested)
	if !hasDigest && (!hasTag || tagged.Tag() == "latest") {
		return []error{Fault(key, "%q is not pinned: add a version or a digest", image)}
	}
	return nil
}

// registry wants the beginning of an image's name, or nothing.
func registry(key, value string) []error {
	if value == "" {
		return nil
	}
	named, err := reference.ParseNormalizedNamed(value + "/image")
	if err != nil || !reference.IsNameOnly(named) || value != strings.ToLower(value) {
		return []error{Fault(key, "%q is no beginning of an image's name: write it in lower case and without a scheme, "+
			"like registry.example.com/team", value)}
	}
	return nil
}

// address wants an absolute URL with one of some schemes, or nothing.
func address(key, value string, schemes ...string) []error {
	if value == "" {
		return nil
	}
	parsed, err := url.Parse(value)
	if err != nil || !slices.Contains(schemes, parsed.Scheme) || parsed.Host == "" && parsed.Path == "" || parsed.Opaque != "" {
		return []error{Fault(key, "%q: write it like %s://…", value, strings.Join(schemes, "://… or "))}
	}
	return nil
}

// variableName wants the name of an environment variable, and of none that follows from the rest.
func variableName(key, name string) []error {
	if len(validation.IsCIdentifier(name)) > 0 {
		return []error{Fault(key, "%q is no name of an environment variable", name)}
	}
	if slices.Contains([]string{"HTTP_ADDR", "DRAIN_DELAY", "SHUTDOWN_TIMEOUT"}, name) {
		return []error{Fault(key, "%s follows from the port and the time that a pod has to stop: leave it out", name)}
	}
	return nil
}

// topicName wants a name that Kafka takes, and that is none of its own.
func topicName(key, name string) []error {
	switch {
	case name == "." || name == ".." || !regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`).MatchString(name):
		return []error{Fault(key, "%q is no name of a topic: use letters, digits, dots, dashes and underscores, 249 at most", name)}
	case strings.HasPrefix(name, "__"):
		return []error{Fault(key, "%q: names that begin with __ are Kafka's own", name)}
	}
	return nil
}

// databaseName wants a name that MongoDB takes on every system and in an address as it is.
func databaseName(key, name string) []error {
	switch {
	case !regexp.MustCompile(`^[a-zA-Z0-9_-]{1,63}$`).MatchString(name):
		return []error{Fault(key, "%q is no name of a database: use letters, digits, dashes and underscores, 63 at most", name)}
	case slices.Contains([]string{"admin", "config", "local"}, strings.ToLower(name)):
		return []error{Fault(key, "%q is a database of MongoDB's own: name another", name)}
	}
	return nil
}

// mongoURI wants a connection string. It quotes nothing of it, since it holds a password.
func mongoURI(key, value string) []error {
	parsed, err := url.Parse(value)
	switch {
	case !strings.HasPrefix(value, "mongodb://") && !strings.HasPrefix(value, "mongodb+srv://"):
		return []error{Fault(key, "begins with neither mongodb:// nor mongodb+srv://")}
	case err != nil || parsed.Host == "":
		return []error{Fault(key, "is no connection string: write user, password and hosts like mongodb://user:password@host:27017/, "+
			"and escape what has a meaning in addresses as %%40 for @")}
	case parsed.Scheme == "mongodb+srv" && (parsed.Port() != "" || strings.Contains(parsed.Host, ",")):
		return []error{Fault(key, "begins with mongodb+srv:// and names a port or several hosts, which it looks up itself: "+
			"name one host, or begin with mongodb://")}
	}
	return nil
}

// strongPassword wants a password that can stand as it is in addresses and in the settings of brokers.
func strongPassword(key, password string) []error {
	if StrongPassword(password) {
		return nil
	}
	return []error{Fault(key, "stands in an address as it is: use 16 letters and digits or more, and nothing else")}
}

// StrongPassword tells whether a password is long, and can stand anywhere as it is.
func StrongPassword(password string) bool {
	return regexp.MustCompile(`^[a-zA-Z0-9]{16,}$`).MatchString(password)
}

// bearerToken wants what an Authorization header can hold (RFC 6750).
func bearerToken(key, token string) []error {
	if regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`).MatchString(token) {
		return nil
	}
	return []error{Fault(key, "can't stand in a header: use letters, digits and - . _ ~ + / only")}
}
