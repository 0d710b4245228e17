package pod

import (
	"maps"
	"slices"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Scratch returns an empty folder for each name; Mounts says where they go. A pod whose root file system is read-only
// writes to these and to nothing else.
func Scratch(paths map[string]string) corev1.VolumeArray {
	volumes := corev1.VolumeArray{}
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		volumes = append(volumes, corev1.VolumeArgs{
			Name: pulumi.String(name), EmptyDir: &corev1.EmptyDirVolumeSourceArgs{},
		})
	}
	return volumes
}

// Mounts returns the mounts of the volumes with those names.
func Mounts(paths map[string]string) corev1.VolumeMountArray {
	mounts := corev1.VolumeMountArray{}
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		mounts = append(mounts, corev1.VolumeMountArgs{
			Name: pulumi.String(name), MountPath: pulumi.String(paths[name]),
		})
	}
	return mounts
}
