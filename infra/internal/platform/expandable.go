package platform

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	storagev1 "k8s.io/api/storage/v1"

	"shopstream/infra/internal/refuse"
)

// checkExpandable refuses larger volumes if their storage class can't expand them. A preview without a cluster continues and
// says what it could not check.
func (p platform) checkExpandable(ctx *pulumi.Context, growths []refuse.Growth) error {
	if len(growths) == 0 {
		return nil
	}
	classes, err := p.host.storageClasses(p.config.Cluster.Context)
	if err != nil && ctx.DryRun() {
		return ctx.Log.Warn(fmt.Sprintf("No cluster answers, so this preview can't tell whether its volumes can grow: %v", err), nil)
	}
	if err != nil {
		return fmt.Errorf("checking whether volumes can grow: %w", err)
	}
	var faults []error
	for _, g := range growths {
		class := classOf(g.Class, classes)
		if class == nil || class.AllowVolumeExpansion == nil || !*class.AllowVolumeExpansion {
			faults = append(faults, fmt.Errorf("%s: the volumes can't grow: storage class %q has no allowVolumeExpansion. Instead: set that on "+
				"the class if its driver supports it, or set %s back", g.Key, orDefault(g.Class), g.Key))
		}
	}
	return errors.Join(faults...)
}

// classOf finds a class by name, or the cluster's default one.
func classOf(name string, classes []storagev1.StorageClass) *storagev1.StorageClass {
	for i := range classes {
		isDefault := classes[i].Annotations["storageclass.kubernetes.io/is-default-class"] == "true"
		if classes[i].Name == name || name == "" && isDefault {
			return &classes[i]
		}
	}
	return nil
}

func orDefault(class string) string {
	if class == "" {
		return "(default)"
	}
	return class
}

// kubectlStorageClasses lists the storage classes of the cluster in that kubeconfig context.
func kubectlStorageClasses(kubeContext string) ([]storagev1.StorageClass, error) {
	var list storagev1.StorageClassList
	err := kubectlGet(kubeContext, &list, "storageclasses")
	return list.Items, err
}
