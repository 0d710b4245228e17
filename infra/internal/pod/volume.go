package pod

import (
	"maps"
	"slices"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Scratch returns an empty volume for each name; Mounts mounts them. A pod whose root file system is read-only can write
// only to these.
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

// File is a Secret that is mounted as files in a folder.
type File struct {
	Volume, Secret, Folder string
}

// FileVolumes returns the volumes of some files, or none.
func FileVolumes(files []File) corev1.VolumeArray {
	var volumes corev1.VolumeArray
	for _, f := range files {
		volumes = append(volumes, SecretVolume(f.Volume, f.Secret))
	}
	return volumes
}

// FileMounts returns the mounts of some files, or none.
func FileMounts(files []File) corev1.VolumeMountArray {
	var mounts corev1.VolumeMountArray
	for _, f := range files {
		mounts = append(mounts, ReadOnlyMount(f.Volume, f.Folder))
	}
	return mounts
}

// SecretVolume returns a volume with the content of a Secret.
func SecretVolume(name, secret string) corev1.VolumeArgs {
	return corev1.VolumeArgs{
		Name:   pulumi.String(name),
		Secret: &corev1.SecretVolumeSourceArgs{SecretName: pulumi.String(secret)},
	}
}

// ReadOnlyMount returns the mount of a volume that is only read.
func ReadOnlyMount(name, folder string) corev1.VolumeMountArgs {
	return corev1.VolumeMountArgs{
		Name: pulumi.String(name), MountPath: pulumi.String(folder), ReadOnly: pulumi.Bool(true),
	}
}
