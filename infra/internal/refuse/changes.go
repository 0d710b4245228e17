package refuse

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// refusal is a change that is refused: the setting, its old and new value, why, and what to do instead.
type refusal struct {
	key, was, is string
	why, instead string

	// accept means that the change is made if the user accepts it, after having followed instead.
	accept bool
}

func (r refusal) Error() string {
	text := fmt.Sprintf("%s: %s → %s: %s. Instead: %s", r.key, orNone(r.was), orNone(r.is), r.why, r.instead)
	if r.accept {
		text += fmt.Sprintf("; then add %q to accept, and the change is made", r.key)
	}
	return text
}

// Changes returns an error with every harmful change, except those that are accepted and can be.
func Changes(before, now Settings, accepted []string) error {
	all := slices.Concat(kafkaChanges(before, now), mongoChanges(before, now), topicChanges(before.Topics, now.Topics),
		addonChanges(before.Addons, now.Addons))
	var faults []error
	for _, r := range all {
		if !r.accept || !slices.Contains(accepted, r.key) {
			faults = append(faults, r)
		}
	}
	return errors.Join(faults...)
}

func kafkaChanges(before, now Settings) []refusal {
	var found []refusal
	was, is := before.Kafka, now.Kafka
	const otherStack = "bring up another stack beside it, on another cluster, and move to it"
	if before.ClusterDomain != now.ClusterDomain {
		found = append(found, refusal{key: "cluster.domain", was: before.ClusterDomain, is: now.ClusterDomain,
			why: "the names of all nodes of Kafka and of the database end in it", instead: "set it back, or " + otherStack})
	}
	if len(was.External)+len(is.External) > 0 {
		return append(found, externalChanges(was, is)...)
	}
	if was.Controllers != is.Controllers || was.Voters != is.Voters {
		found = append(found, refusal{key: "kafka.controllers, kafka.voters", was: was.quorum(), is: is.quorum(),
			why:     "running nodes and restarted ones would have different voters, and the quorum would be lost",
			instead: "set " + was.quorumSetting() + "; additional brokers need no vote"})
	}
	if was.Secure != is.Secure {
		found = append(found, refusal{key: "kafka.secure", was: strconv.FormatBool(was.Secure), is: strconv.FormatBool(is.Secure),
			why: "restarted nodes could not connect to those that still run, and the first one would never be in sync again", instead: "set it back, or " + otherStack})
	}
	switch {
	case is.Copies < was.Copies:
		found = append(found, refusal{key: "kafka.brokers", was: strconv.Itoa(was.Brokers), is: strconv.Itoa(is.Brokers),
			why:     fmt.Sprintf("every partition has %d replicas, each on another broker", was.Copies),
			instead: fmt.Sprintf("keep %d brokers or more, or %s", was.Copies, otherStack)})
	case is.Copies > was.Copies && is.Controllers > 0:
		found = append(found, refusal{key: "kafka.brokers", was: strconv.Itoa(was.Brokers), is: strconv.Itoa(is.Brokers),
			why:     fmt.Sprintf("with separate controllers, the running brokers would be restarted while every partition has only %d replicas", was.Copies),
			instead: otherStack})
	}
	return append(found, volumeChanges("kafka", was.Storage, is.Storage, was.StorageClass, is.StorageClass)...)
}

// externalChanges are changes to and from an external cluster, and between two of them.
func externalChanges(was, is Kafka) []refusal {
	same := func(server string) bool { return slices.Contains(was.External, server) }
	if slices.ContainsFunc(is.External, same) {
		return nil
	}
	change := refusal{key: "kafka.external", was: strings.Join(was.External, ","), is: strings.Join(is.External, ","), accept: true}
	change.why = "unconsumed records and the totals stay in the old cluster"
	change.instead = "stop the producers, wait until the lag is 0 (make status), and copy product-totals with MirrorMaker"
	if len(was.External) == 0 {
		change.why += ", which is the stack's own and is deleted, with its volumes unless keepVolumes is set"
	}
	return []refusal{change}
}

func (k Kafka) quorum() string {
	if k.Controllers > 0 {
		return fmt.Sprintf("%d separate controllers", k.Controllers)
	}
	return fmt.Sprintf("%d voting brokers", k.Voters)
}

func (k Kafka) quorumSetting() string {
	if k.Controllers > 0 {
		return fmt.Sprintf("kafka.controllers to %d", k.Controllers)
	}
	return fmt.Sprintf("kafka.controllers to 0 and kafka.voters to %d", k.Voters)
}

func mongoChanges(before, now Settings) []refusal {
	was, is := before.Mongo, now.Mongo
	if was.External != is.External {
		change := refusal{key: "mongo.external", was: strconv.FormatBool(was.External), is: strconv.FormatBool(is.External),
			why:     "stored purchases stay in the old database, and the stack's own database is deleted with its volumes",
			instead: "copy the purchases with mongodump and mongorestore", accept: true}
		if is.External {
			change.unprotectFirst(before)
		}
		return []refusal{change}
	}
	var found []refusal
	if was.Database != is.Database && was.Database != "" {
		found = append(found, refusal{key: "mongo.database", was: was.Database, is: is.Database,
			why:     "stored purchases stay in the old database, and are no longer found",
			instead: "copy the purchases with mongodump and mongorestore (--nsFrom, --nsTo)", accept: true})
	}
	if is.External {
		return found
	}
	if is.Members < was.Members {
		found = append(found, refusal{key: "mongo.members", was: strconv.Itoa(was.Members), is: strconv.Itoa(is.Members),
			why:     "the remaining members would have no majority, and accept no writes",
			instead: fmt.Sprintf("first remove the members from %d on from the replica set (rs.remove in mongosh on the primary, which must be mongodb-0)", is.Members),
			accept:  true})
	}
	from, to := major(was.Image), major(is.Image)
	switch {
	case from == 0 || to == 0:
	case to > from+1:
		found = append(found, refusal{key: "mongo.image", was: was.Image, is: is.Image,
			why:     "MongoDB is upgraded one major version at a time, and a later one doesn't start on the data",
			instead: fmt.Sprintf("upgrade to %d first, and set its featureCompatibilityVersion", from+1)})
	case older(is.Image, was.Image):
		found = append(found, refusal{key: "mongo.image", was: was.Image, is: is.Image,
			why:     "an older MongoDB doesn't start on data of a newer featureCompatibilityVersion",
			instead: "check with db.adminCommand({getParameter: 1, featureCompatibilityVersion: 1}) that it is not newer", accept: true})
	}
	switch {
	case was.Dumps == nil:
	case is.Dumps == nil:
		change := refusal{key: "mongo.backup", was: was.Dumps.Storage.String(), is: "no volume",
			why: "the volume is deleted with all dumps", instead: "copy the dumps that you need elsewhere", accept: true}
		change.unprotectFirst(before)
		found = append(found, change)
	default:
		found = append(found, volumeChanges("mongo.backup", was.Dumps.Storage, is.Dumps.Storage, was.Dumps.StorageClass, is.Dumps.StorageClass)...)
	}
	return append(found, volumeChanges("mongo", was.Storage, is.Storage, was.StorageClass, is.StorageClass)...)
}

// volumeChanges doesn't mention a larger volume, which harms nothing.
func volumeChanges(section string, was, is resource.Quantity, wasClass, isClass string) []refusal {
	var found []refusal
	if is.Cmp(was) < 0 {
		found = append(found, refusal{key: section + ".storage", was: was.String(), is: is.String(),
			why: "a volume can't shrink", instead: "set it back, and keep less data"})
	}
	if wasClass != isClass {
		found = append(found, refusal{key: section + ".storageClass", was: wasClass, is: isClass,
			why: "a volume can't change its class, and a StatefulSet can't change the class of its new volumes", instead: "set it back"})
	}
	return found
}

// unprotectFirst adds that pulumi deletes nothing that keepVolumes protects: an accepted change would never be finished.
func (r *refusal) unprotectFirst(before Settings) {
	if before.KeepVolumes {
		r.why += ", which keepVolumes protects"
		r.instead += ", set keepVolumes to false, and run make up once with that alone"
		r.accept = false
	}
}

// addonChanges doesn't mention an addon's first volume, before which nothing was kept.
func addonChanges(was, is map[string]Volume) []refusal {
	var found []refusal
	for _, key := range slices.Sorted(maps.Keys(was)) {
		before, now := was[key], is[key]
		change := refusal{key: key, was: before.Storage.String(), is: now.Storage.String(), instead: "set it back, and keep less data"}
		switch {
		case before.Namespace != now.Namespace:
			if change.is = "no volume"; now.Namespace != "" {
				change.was, change.is = before.Namespace, now.Namespace
			}
			change.why, change.instead, change.accept = "the volume is deleted with what is in it", "copy what you need of it", true
		case before.StorageClass != now.StorageClass:
			change.was, change.is = before.StorageClass, now.StorageClass
			change.why, change.instead = "a volume can't change its class", "set it back"
		case now.Storage.Cmp(before.Storage) < 0:
			change.why = "a volume can't shrink"
		default:
			continue
		}
		found = append(found, change)
	}
	return found
}

func topicChanges(was, is map[string]Topic) []refusal {
	var found []refusal
	for _, key := range slices.Sorted(maps.Keys(was)) {
		before, now := was[key], is[key]
		if before.Name != now.Name {
			found = append(found, refusal{key: "topics." + key + ".name", was: before.Name, is: now.Name,
				why:     "a topic can't be renamed: a new, empty one is created, and the records of the old one are no longer read",
				instead: fmt.Sprintf("stop the producers, and wait until the lag on %q is 0 (make status)", before.Name), accept: true})
		}
		if now.Partitions < before.Partitions && before.Name == now.Name {
			found = append(found, refusal{key: "topics." + key + ".partitions", was: strconv.Itoa(before.Partitions), is: strconv.Itoa(now.Partitions),
				why: "partitions can't be removed from a topic without losing their records", instead: "set it back, or give the topic another name"})
		}
	}
	return found
}

// older reports whether an image has a lower version than another one. Tags without a version are not compared.
func older(image, than string) bool {
	a, b := version(image), version(than)
	return a != nil && b != nil && slices.Compare(a, b) < 0
}

func major(image string) int {
	if v := version(image); v != nil {
		return v[0]
	}
	return 0
}

// version returns the numbers at the beginning of an image's tag, or nil.
func version(image string) []int {
	image, _, _ = strings.Cut(image, "@")
	tag := image[strings.LastIndex(image, ":")+1:]
	var numbers []int
	for part := range strings.SplitSeq(tag, ".") {
		digits := part[:len(part)-len(strings.TrimLeft(part, "0123456789"))]
		n, err := strconv.Atoi(digits)
		if err != nil {
			break
		}
		numbers = append(numbers, n)
		if digits != part {
			break
		}
	}
	return numbers
}

func orNone(text string) string {
	if text == "" {
		return "(none)"
	}
	return text
}

// Growth is a larger size for volumes of one storage class; an empty class is the cluster's default.
type Growth struct {
	Key, Class string
}

// Growths returns what the cluster's storage has to support.
func Growths(before, now Settings) []Growth {
	var list []Growth
	if len(before.Kafka.External) == 0 && now.Kafka.Storage.Cmp(before.Kafka.Storage) > 0 {
		list = append(list, Growth{"kafka.storage", now.Kafka.StorageClass})
	}
	if !now.Mongo.External && !before.Mongo.External && now.Mongo.Storage.Cmp(before.Mongo.Storage) > 0 {
		list = append(list, Growth{"mongo.storage", now.Mongo.StorageClass})
	}
	if was, is := before.Mongo.Dumps, now.Mongo.Dumps; was != nil && is != nil && is.Storage.Cmp(was.Storage) > 0 {
		list = append(list, Growth{"mongo.backup.storage", is.StorageClass})
	}
	for _, key := range slices.Sorted(maps.Keys(before.Addons)) {
		was, is := before.Addons[key], now.Addons[key]
		if was.Namespace == is.Namespace && is.Storage.Cmp(was.Storage) > 0 {
			list = append(list, Growth{key, is.StorageClass})
		}
	}
	return list
}
