package config

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

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

// keys checks that each of a list is a key of the configuration, or is below one that may hold anything, such as the values of
// a chart.
func keys(key string, names []string) []error {
	var faults []error
	for _, name := range names {
		at := reflect.TypeFor[Config]()
		for part := range strings.SplitSeq(name, ".") {
			if at.Kind() == reflect.Map {
				break
			}
			if at = fieldOf(at, part); at == nil {
				faults = append(faults, Fault(key, "%q is not a key of the configuration: write it as the refusal does", name))
				break
			}
		}
	}
	return faults
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
	if most := quantity("1M"); q.Cmp(most) > 0 {
		return []error{Fault(key, "%s: set %s or less", q.String(), most.String())}
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

// bytes checks that a size of memory or storage is in whole bytes, not below least, and small enough for sums of many.
func bytes(key string, q, least resource.Quantity) []error {
	if most := quantity("1Pi"); q.Cmp(most) > 0 {
		return []error{Fault(key, "%s: set %s or less", q.String(), most.String())}
	}
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
	if len(name) > validation.DNS1123SubdomainMaxLength || !isDomain(strings.TrimPrefix(name, "*.")) {
		return []error{Fault(key, "%q is not a host name: write it like shop.example.com, without scheme, port or path", name)}
	}
	return nil
}

// isDomain reports whether a text is a domain name in lower case. Its last part is not a number: such a name would be read as
// an address (RFC 1123, 2.1).
func isDomain(name string) bool {
	parts := strings.Split(name, ".")
	for _, part := range parts {
		if len(validation.IsDNS1123Label(part)) > 0 {
			return false
		}
	}
	_, notNumber := strconv.Atoi(parts[len(parts)-1])
	return notNumber != nil && len(name) <= validation.DNS1123SubdomainMaxLength
}

// isHost reports whether a text is a domain name or an address that a client can connect to.
func isHost(name string) bool {
	address, notAddress := netip.ParseAddr(name)
	return notAddress == nil && address.Zone() == "" || isDomain(strings.ToLower(name))
}

// isPort reports whether a text is the number of a port, without sign and leading zeros.
func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0 && strconv.FormatUint(port, 10) == text
}

// clusterDomain checks the DNS domain of the cluster, to which the names of pods add up to 70 letters.
func clusterDomain(key, name string) []error {
	const most = validation.DNS1123SubdomainMaxLength - 70
	if isDomain(name) && len(name) <= most {
		return nil
	}
	return []error{Fault(key, "%q is not a DNS domain: write it like cluster.local, in lower case, without a dot at the end, in %d letters at most",
		name, most)}
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
	const most = 252 << 10 // Kubernetes allows 4 KiB more, together with those that the stack adds
	if size > most {
		faults = append(faults, Fault(key, "has %d bytes: set %d or less", size, most))
	}
	return faults
}

// pinnedImage checks that an image name is valid, with a digest or a tag other than latest.
func pinnedImage(key, image string) []error {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return []error{Fault(key, "%q is not a valid image name: %v", image, err)}
	}
	if !isRegistry(reference.Domain(named)) {
		return []error{Fault(key, "%q begins with %q, which is read as a registry, and is none: write it in lower case, with a port from 1 to 65535 or none",
			image, reference.Domain(named))}
	}
	tagged, hasTag := named.(reference.Tagged)
	_, hasDigest := named.(reference.Digested)
	if !hasDigest && (!hasTag || tagged.Tag() == "latest") {
		return []error{Fault(key, "%q is not pinned: add a version or a digest", image)}
	}
	return nil
}

// isRegistry reports whether the domain of an image name is that of a registry. The grammar of image names accepts
// capitals and any port, and Docker then fails.
func isRegistry(domain string) bool {
	parsed, err := url.Parse("//" + domain)
	return err == nil && domain == strings.ToLower(domain) && (parsed.Port() == "" || isPort(parsed.Port()))
}

// registry checks the beginning of the names of images; empty is valid.
func registry(key, value string) []error {
	if value == "" {
		return nil
	}
	const longest = "/management-api" // of the images that are built
	named, err := reference.ParseNormalizedNamed(value + longest)
	if err != nil || !reference.IsNameOnly(named) || value != strings.ToLower(value) || !isRegistry(reference.Domain(named)) {
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
	if err != nil || !slices.Contains(schemes, parsed.Scheme) || !strings.HasPrefix(value, parsed.Scheme+"://") {
		return []error{Fault(key, "%q: write it like %s://…", value, strings.Join(schemes, "://… or "))}
	}
	if parsed.Scheme == "unix" || parsed.Scheme == "npipe" {
		if parsed.Path == "" || parsed.Host != "" {
			return []error{Fault(key, "%q names no socket: write it like unix:///var/run/docker.sock", value)}
		}
		return nil
	}
	if parsed.Hostname() == "" {
		return []error{Fault(key, "%q names no host: write it like %s://host…", value, parsed.Scheme)}
	}
	inBrackets := strings.HasPrefix(parsed.Host, "[")
	if parsed.Scheme != "ssh" && (!isHost(parsed.Hostname()) || strings.Contains(parsed.Hostname(), ":") != inBrackets) { // ssh has aliases
		return []error{Fault(key, "%q: %q is neither a host name nor an address: write an IPv6 address in brackets, and other letters than a to z "+
			"in their xn-- form", value, parsed.Hostname())}
	}
	if parsed.Port() != "" && !isPort(parsed.Port()) {
		return []error{Fault(key, "%q has a port that is not a number from 1 to 65535", value)}
	}
	return nil
}

// notThePod checks that the host of an address is another than the pod that connects to it.
func notThePod(key, host string) []error {
	address, err := netip.ParseAddr(host)
	if strings.EqualFold(host, "localhost") || err == nil && (address.IsLoopback() || address.IsUnspecified()) {
		return []error{Fault(key, "%q is the pod itself: name the host as pods reach it", host)}
	}
	return nil
}

// folderURL checks a URL to which paths and fragments are added; empty is valid.
func folderURL(key, value string, schemes ...string) []error {
	if faults := address(key, value, schemes...); len(faults) > 0 {
		return faults
	}
	u, err := url.Parse(value)
	if err == nil && (u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(value, "{}<>\"\\^`|")) {
		return []error{Fault(key, "%q has a user, a query, a fragment or characters that a URL can't have: write it like https://host/folder", value)}
	}
	return nil
}

// chartRepository checks where charts come from; empty is valid.
func chartRepository(key, value string) []error {
	if faults := folderURL(key, value, "https", "http", "oci"); len(faults) > 0 {
		return faults
	}
	folder, isRegistry := strings.CutPrefix(value, "oci://")
	if named, err := reference.ParseNormalizedNamed(folder + "/ingress-nginx"); isRegistry && (err != nil || !reference.IsNameOnly(named) || folder != strings.ToLower(folder)) {
		return []error{Fault(key, "%q is not a folder of a registry: write it in lower case and without a tag, like oci://registry.example.com/charts", value)}
	}
	return nil
}

// site checks the URL of a host without anything after it; empty is valid. What reads it takes the host alone.
func site(key, value string, schemes ...string) []error {
	if faults := address(key, value, schemes...); len(faults) > 0 {
		return faults
	}
	u, err := url.Parse(value)
	if err == nil && (u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "") {
		return []error{Fault(key, "%q has more than a host and a port: write it like https://host", value)}
	} else if err == nil {
		return notThePod(key, u.Hostname())
	}
	return nil
}

// bucketName checks the name of a bucket by the rules of Amazon S3, which other stores share.
func bucketName(key, name string) []error {
	_, notAddress := netip.ParseAddr(name)
	if notAddress == nil || strings.Contains(name, "..") || !regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`).MatchString(name) {
		return []error{Fault(key, "%q is not a valid name of a bucket: use 3 to 63 lower-case letters, digits, dots and dashes", name)}
	}
	return nil
}

// bucketRegion checks the region of a bucket, which is part of every signature; empty is valid.
func bucketRegion(key, region string) []error {
	if regexp.MustCompile(`^[a-zA-Z0-9-]{0,63}$`).MatchString(region) {
		return nil
	}
	return []error{Fault(key, "%q is not a region: write it like eu-central-1", region)}
}

// objectPrefix checks the beginning of the names of objects, by which they are listed and sorted; empty is valid.
func objectPrefix(key, prefix string) []error {
	valid := prefix == "" || regexp.MustCompile(`^[a-zA-Z0-9!_.*'()/-]{1,512}$`).MatchString(prefix)
	for _, part := range strings.Split(strings.TrimSuffix(prefix, "/"), "/") {
		valid = valid && (prefix == "" || part != "" && part != "." && part != "..")
	}
	if valid {
		return nil
	}
	return []error{Fault(key, "%q is not a prefix of names in every object store: write it like shop/, with letters, digits and ! _ . * ' ( ) - /", prefix)}
}

// userName checks a user of HTTP's basic authentication, which ends at the first colon; empty is valid.
func userName(key, name string) []error {
	if strings.ContainsFunc(name, func(r rune) bool { return r == ':' || !unicode.IsPrint(r) }) {
		return []error{Fault(key, "%q has a colon or a control character, which no user name can have", name)}
	}
	return nil
}

// variableName checks the name of an environment variable that a stack may set.
func variableName(key, name string) []error {
	if len(validation.IsCIdentifier(name)) > 0 {
		return []error{Fault(key, "%q is not a valid name of an environment variable: use letters, digits and underscores", name)}
	}
	switch name {
	case "HTTP_ADDR", "DRAIN_DELAY", "SHUTDOWN_TIMEOUT":
		return []error{Fault(key, "%s follows from the port and the time that a pod has to stop: leave it out", name)}
	case "GROUP_ID", "KAFKA_BOOTSTRAP_SERVERS", "MONGO_URI", "MANAGEMENT_API_URL",
		"PURCHASES_TOPIC", "PURCHASES_DLQ_TOPIC", "ORDERS_TOPIC", "ORDERS_DLQ_TOPIC", "TOTALS_TOPIC":
		return []error{Fault(key, "%s follows from the rest of the configuration, and so do the autoscalers and the network policies: "+
			"leave it out, and set kafka, topics or mongo", name)}
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

// databaseName checks that MongoDB accepts a name on every system, and in an address without escapes. Most is its length.
func databaseName(key, name string, most int) []error {
	switch {
	case len(name) > most || !regexp.MustCompile(`^[a-zA-Z0-9_-]+$`).MatchString(name):
		return []error{Fault(key, "%q is not a valid database name: use letters, digits, dashes and underscores, %d at most", name, most)}
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

// neverOrAlways refuses a schedule without a next time, such as the 31st of February, and one of seconds, which the API
// server both accepts.
func neverOrAlways(key, value string, times cron.Schedule) []error {
	if every, ok := times.(cron.ConstantDelaySchedule); ok && every.Delay < time.Minute {
		return []error{Fault(key, "%q is more often than every minute: write it like @every 1h", value)}
	}
	if times.Next(time.Unix(0, 0)).IsZero() {
		return []error{Fault(key, "%q never comes: no month has that day", value)}
	}
	return nil
}

// schedule checks a schedule as the API server does, which refuses a time zone in it.
func schedule(key, value string) []error {
	if !strings.Contains(value, "TZ") {
		if times, err := cron.ParseStandard(value); err == nil {
			return neverOrAlways(key, value, times)
		}
	}
	return []error{Fault(key, "%q is not a schedule: write minute, hour, day, month and weekday, such as \"30 2 * * *\" for every night", value)}
}
