package platform

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	storagev1 "k8s.io/api/storage/v1"

	"shopstream/infra/internal/addon"
	"shopstream/infra/internal/image"
	"shopstream/infra/internal/job"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/secret"
)

// Host is what the program needs of the machine that it runs on. Tests and render replace it.
type Host struct {
	// services returns the folder with the services' sources, given the project's root.
	services func(root string) fs.FS

	// staging is the folder where the build contexts of the images are assembled.
	staging string

	// dockerHost returns the address of the Docker daemon, given the configured one; empty leaves it to the provider.
	dockerHost func(configured string) string

	// daemon returns nil if a Docker daemon answers at that address.
	daemon func(host string) error

	// chart returns nil if a chart's folder or repository exists.
	chart func(addon.Chart) error

	// loader returns a function that loads an image into the nodes with that command.
	loader func(command []string) image.Load

	// unlocker returns a function that removes the lock of a Helm release in that kubeconfig context.
	unlocker func(kubeContext string) addon.Unlock

	// namespaces lists the namespaces of the cluster in that kubeconfig context.
	namespaces func(kubeContext string) ([]existingNamespace, error)

	// storageClasses lists the storage classes of the cluster in that kubeconfig context.
	storageClasses func(kubeContext string) ([]storagev1.StorageClass, error)

	// compatibility returns the featureCompatibilityVersion of the database in that kubeconfig context.
	compatibility func(kubeContext string) (string, error)

	// run runs a CronJob of the cluster in that kubeconfig context once, and returns its log.
	run func(kubeContext string, run job.Job) (string, error)

	// hook registers a function that pulumi calls before it changes a resource, also in a preview. It is nil for a program that
	// changes nothing.
	hook func(ctx *pulumi.Context, name string, call pulumi.ResourceHookFunction) (*pulumi.ResourceHook, error)

	// kafkaCertificate reads the generated certificate from the cluster in that kubeconfig context.
	kafkaCertificate func(kubeContext string) (storedCertificate, error)

	// random is where generated secrets come from.
	random io.Reader

	// issue generates a key and a certificate for these host names, and the authority that signs it.
	issue func(hosts []string) (secret.Pair, error)
}

// ThisMachine is the host of a program that pulumi runs.
func ThisMachine() Host {
	return Host{
		services:   func(string) fs.FS { return os.DirFS(filepath.Join("..", "services")) },
		staging:    ".build",
		dockerHost: func(configured string) string { return image.Host(context.Background(), configured) },
		daemon: func(host string) error {
			return image.Daemon(context.Background(), image.Host(context.Background(), host))
		},
		chart:          findChart,
		loader:         commandLoader,
		unlocker:       kubectlUnlocker,
		namespaces:     kubectlNamespaces,
		storageClasses: kubectlStorageClasses,
		compatibility:  kubectlCompatibility,
		run:            kubectlRun,
		hook:           beforeChanges,
		random:         rand.Reader,

		kafkaCertificate: kubectlCertificate,
		issue: func(hosts []string) (secret.Pair, error) {
			return secret.Certificate(kafka.NodeName, hosts, time.Now())
		},
	}
}

// zeros is a deterministic source of randomness, for secrets that are never used.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func beforeChanges(ctx *pulumi.Context, name string, call pulumi.ResourceHookFunction) (*pulumi.ResourceHook, error) {
	return ctx.RegisterResourceHook(name, call, &pulumi.ResourceHookOptions{OnDryRun: true})
}

func commandLoader(command []string) image.Load {
	if len(command) == 0 {
		return nil
	}
	return func(reference string) error {
		arguments := append(command[1:len(command):len(command)], reference)
		output, err := exec.CommandContext(context.Background(), command[0], arguments...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("loading image %q with %q: %w: %s", reference, strings.Join(command, " "), err, output)
		}
		return nil
	}
}

// kubectlUnlocker deletes Helm's record of an unfinished operation, which locks the release. The revision before it, if
// there is one, then becomes the latest again.
func kubectlUnlocker(kubeContext string) addon.Unlock {
	return func(namespace, release string) error {
		_, err := kubectl(context.Background(), kubeContext, "", "delete", "secret", "--ignore-not-found", "--namespace", namespace,
			"--selector", "owner=helm,name="+release+",status in (pending-install,pending-upgrade,pending-rollback)")
		if err != nil {
			return fmt.Errorf("unlocking release %q: %w", release, err)
		}
		return nil
	}
}

// errNotAsked keeps render from building images.
var errNotAsked = errors.New("manifests need no images")

// ForManifests is the host of a program that only shows what it would declare: it reads the services' sources to name
// the images, and needs neither Docker nor a cluster nor the charts. Its secrets are not random, so that two runs declare the
// same.
func ForManifests() Host {
	h := ThisMachine()
	h.services = func(root string) fs.FS { return os.DirFS(filepath.Join(root, "services")) }
	h.dockerHost = func(host string) string { return host }
	h.daemon = func(string) error { return errNotAsked }
	h.chart = func(addon.Chart) error { return nil }
	h.loader = func([]string) image.Load { return nil }
	h.unlocker = func(string) addon.Unlock { return nil }
	h.namespaces = func(string) ([]existingNamespace, error) { return nil, nil }
	h.kafkaCertificate = func(string) (storedCertificate, error) { return storedCertificate{}, nil }
	h.hook = nil
	h.random = zeros{}
	h.issue = func([]string) (secret.Pair, error) { return secret.Pair{}, nil }
	return h
}
