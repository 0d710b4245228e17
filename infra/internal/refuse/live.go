package refuse

import (
	"fmt"
)

// NeedsCompatibility reports whether MongoDB's featureCompatibilityVersion decides if a change can be made: that of its
// major version.
func NeedsCompatibility(before, now Settings) bool {
	was, is := before.Mongo, now.Mongo
	return !was.External && !is.External && major(was.Image) > 0 && major(is.Image) > 0 && major(was.Image) != major(is.Image)
}

// Compatibility returns an error where data of that featureCompatibilityVersion, such as "8.0", can't be opened by the
// MongoDB that is to come: one major version follows another only once the data are of the first, and goes back only once
// they are of the older one again.
func Compatibility(before, now Settings, version string) error {
	from, to := major(before.Mongo.Image), major(now.Mongo.Image)
	var data int
	if _, err := fmt.Sscanf(version, "%d.", &data); err != nil {
		return fmt.Errorf("mongo.image: the database's featureCompatibilityVersion is %q, which is no version", version)
	}
	need := min(from, to)
	if data == need {
		return nil
	}
	return fmt.Errorf("mongo.image: %s → %s: the data's featureCompatibilityVersion is %s, with which a MongoDB of the major version %d doesn't start. "+
		"Instead: first run db.adminCommand({setFeatureCompatibilityVersion: %q, confirm: true}) in mongosh on the primary",
		before.Mongo.Image, now.Mongo.Image, version, to, fmt.Sprintf("%d.0", need))
}
