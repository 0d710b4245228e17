package refuse

import (
	"fmt"
)

// NeedsCompatibility reports whether the major version of MongoDB changes: then its featureCompatibilityVersion decides
// whether the change can be made.
func NeedsCompatibility(before, now Settings) bool {
	was, is := before.Mongo, now.Mongo
	return !was.External && !is.External && major(was.Image) > 0 && major(is.Image) > 0 && major(was.Image) != major(is.Image)
}

// Compatibility returns an error if the new MongoDB can't open data with that featureCompatibilityVersion, such as "8.0". It
// must be that of the older of the two major versions: an upgrade requires that the previous one was completed, and a
// downgrade that the version was set back first.
func Compatibility(before, now Settings, version string) error {
	from, to := major(before.Mongo.Image), major(now.Mongo.Image)
	var data int
	if _, err := fmt.Sscanf(version, "%d.", &data); err != nil {
		return fmt.Errorf("mongo.image: the database's featureCompatibilityVersion is %q, which is not a version", version)
	}
	need := min(from, to)
	if data == need {
		return nil
	}
	return fmt.Errorf("mongo.image: %s → %s: the data's featureCompatibilityVersion is %s, with which MongoDB %d doesn't start. "+
		"Instead: first run db.adminCommand({setFeatureCompatibilityVersion: %q, confirm: true}) in mongosh on the primary",
		before.Mongo.Image, now.Mongo.Image, version, to, fmt.Sprintf("%d.0", need))
}
