// Package mongo declares the document database: a replica set of one or three members with authentication, or the
// address of an external database.
package mongo

import (
	_ "embed" // the scripts below
	"fmt"
	"strings"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	policyv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/policy/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/label"
	"shopstream/infra/internal/namespace"
	"shopstream/infra/internal/netpol"
	"shopstream/infra/internal/pod"
	"shopstream/infra/internal/secret"
	"shopstream/infra/internal/volume"
)

// Names and ports for clients and network policies.
const (
	Name          = "mongodb"
	Port          = 27017
	InitiateName  = "mongodb-initiate"
	AppUser       = "shop"
	headlessName  = "mongodb-nodes"
	replicaSet    = "rs0"
	adminSecret   = "mongodb-admin"
	rootUser      = "root"
	keyVolume     = "keyfile"
	passwordKey   = "password"
	appKey        = "app-password"
	replicaSetKey = "keyfile"
)

// user is the image's mongodb.
const user = 999

//go:embed start.sh
var startScript string

//go:embed ready.sh
var readyScript string

//go:embed initiate.js
var initiateScript string

// DatabaseArgs describes a replica set.
type DatabaseArgs struct {
	Namespace     *namespace.Namespace
	ClusterDomain string
	Image         string
	Members       int
	Resources     pod.Resources

	StorageClass  string
	StorageSize   resource.Quantity
	DeleteVolumes bool
	Zones         bool

	// Database is the database that the application may read and write.
	Database string

	// Backup dumps the purchases; nil means no dumps.
	Backup *BackupArgs

	// RootPassword and AppPassword are those of the two users; KeyFile is the shared secret with which the members
	// authenticate each other.
	RootPassword, AppPassword, KeyFile secret.Value
}

// Database is a replica set that has been initiated.
type Database struct {
	pulumi.ResourceState

	args  DatabaseArgs
	admin *secret.Secret
}

// NewDatabase declares a replica set.
func NewDatabase(
	ctx *pulumi.Context, name string, args *DatabaseArgs, opts ...pulumi.ResourceOption,
) (*Database, error) {
	d := &Database{args: *args}
	if args.Members != 1 && args.Members != 3 {
		return nil, fmt.Errorf("checking database %q: %d members: a replica set has 1 or 3", name, args.Members)
	}
	if err := ctx.RegisterComponentResource("shopstream:mongo:Database", name, d, opts...); err != nil {
		return nil, fmt.Errorf("registering database %q: %w", name, err)
	}
	if err := d.provision(ctx); err != nil {
		return nil, err
	}
	return d, ctx.RegisterResourceOutputs(d, pulumi.Map{"members": pulumi.Int(args.Members)})
}

// Members returns the members as one end of a call.
func Members(namespace string) netpol.Peer {
	return netpol.Peer{Name: Name, Namespace: namespace, Labels: label.Selector(Name)}
}

// Initiate is the Job that initiates the replica set, as one end of a call.
func Initiate(namespace string) netpol.Peer {
	return netpol.Peer{Name: InitiateName, Namespace: namespace, Labels: label.Selector(InitiateName)}
}

// AppPassword returns the password of the application's user, as the cluster has it.
func (d *Database) AppPassword() secret.Value { return d.admin.Value(appKey) }

// hosts returns the address of each member.
func (args DatabaseArgs) hosts() []string {
	hosts := make([]string, args.Members)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("%s-%d.%s.%s.svc.%s:%d",
			Name, i, headlessName, args.Namespace.Name, args.ClusterDomain, Port)
	}
	return hosts
}

// EnvVars returns what the application needs to connect. The password comes from a Secret in its own namespace, and is
// inserted into the address only inside the container.
func (d *Database) EnvVars(secret, key string) []pod.Env {
	return d.args.connection(AppUser, secret, key)
}

func (args DatabaseArgs) connection(user, secret, key string) []pod.Env {
	return []pod.Env{
		pod.Secret("MONGO_PASSWORD", secret, key),
		pod.Value("MONGO_URI", fmt.Sprintf("mongodb://%s:$(MONGO_PASSWORD)@%s/%s?replicaSet=%s&authSource=admin",
			user, strings.Join(args.hosts(), ","), args.Database, replicaSet)),
	}
}

func (d *Database) provision(ctx *pulumi.Context) error {
	meta := func(name string) *metav1.ObjectMetaArgs {
		return label.Meta(name, d.args.Namespace.Ref, label.Standard(Name, "database"))
	}
	credentials := map[string]secret.Value{
		passwordKey: d.args.RootPassword, appKey: d.args.AppPassword, replicaSetKey: d.args.KeyFile,
	}
	if d.args.Backup != nil {
		credentials[backupKey] = d.args.Backup.Password
	}
	// A child of the namespace: protecting it with the volumes then keeps everything that it depends on.
	admin, err := secret.New(ctx, adminSecret, meta(adminSecret), credentials, pulumi.Parent(d.args.Namespace))
	if err != nil {
		return err
	}
	d.admin = admin

	headless, err := corev1.NewService(ctx, headlessName, &corev1.ServiceArgs{
		Metadata: meta(headlessName),
		Spec: &corev1.ServiceSpecArgs{
			ClusterIP:                pulumi.String("None"),
			Selector:                 pulumi.ToStringMap(label.Selector(Name)),
			PublishNotReadyAddresses: pulumi.Bool(true),
			Ports: corev1.ServicePortArray{corev1.ServicePortArgs{
				Name: pulumi.String("mongodb"), Port: pulumi.Int(Port), TargetPort: pulumi.Int(Port),
			}},
		},
	}, pulumi.Parent(d))
	if err != nil {
		return fmt.Errorf("creating service %q: %w", headlessName, err)
	}

	set, err := appsv1.NewStatefulSet(ctx, Name, &appsv1.StatefulSetArgs{
		Metadata: meta(Name),
		Spec:     d.args.statefulSet(),
	}, pulumi.Parent(d), pulumi.DependsOn([]pulumi.Resource{headless}), volume.KeepTemplate())
	if err != nil {
		return fmt.Errorf("creating stateful set %q: %w", Name, err)
	}
	if err := d.args.claims().Grow(ctx, d.args.Namespace.Ref, set, pulumi.Parent(d)); err != nil {
		return err
	}

	_, err = policyv1.NewPodDisruptionBudget(ctx, Name, &policyv1.PodDisruptionBudgetArgs{
		Metadata: meta(Name),
		Spec: &policyv1.PodDisruptionBudgetSpecArgs{
			MaxUnavailable: pulumi.Int(1),
			Selector:       &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(label.Selector(Name))},
		},
	}, pulumi.Parent(d))
	if err != nil {
		return fmt.Errorf("creating disruption budget %q: %w", Name, err)
	}
	if err := d.backup(ctx); err != nil {
		return err
	}
	return d.initiate(ctx, set)
}
