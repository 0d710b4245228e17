package image

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Load loads a built image into the cluster's nodes.
type Load func(reference string) error

// Args describes the images.
type Args struct {
	// Services is the folder of the services; Names are those to build.
	Services fs.FS
	Names    []string

	// Build builds the images; if false, only their names are computed.
	Build bool

	// NoDaemon means that no Docker daemon answers. A preview then shows the images, but not whether they would be built.
	NoDaemon bool

	// After are resources that the images are built after.
	After []pulumi.Resource

	// Staging is the folder where the build context of each image is assembled. Pulumi compares its name, so it must be the
	// same on every machine.
	Staging string

	// Registry is where images are pushed to; if empty, they aren't. Username and Password may be empty if Docker has
	// stored credentials.
	Registry string
	Username string
	Password pulumi.StringInput

	Platform           string
	GoImage, BaseImage string
	DockerHost         string

	// Load runs before a workload gets its image. It is nil if the nodes pull their images.
	Load Load
}

// Images are the images of the services.
type Images struct {
	pulumi.ResourceState

	references map[string]string
	built      map[string]pulumi.Resource
	loadFirst  []pulumi.ResourceOption
}

// After returns the resources that exist once the image of a service does: none if images aren't built here.
func (i *Images) After(service string) []pulumi.Resource {
	if built, ok := i.built[service]; ok {
		return []pulumi.Resource{built}
	}
	return nil
}

// LoadFirst returns the options of a workload that runs one of the images.
func (i *Images) LoadFirst() []pulumi.ResourceOption { return i.loadFirst }

// Reference returns the name of a service's image.
func (i *Images) Reference(service string) string { return i.references[service] }

// References computes the names of all images, without building any.
func (args Args) References() (map[string]string, error) {
	references := map[string]string{}
	for _, name := range args.Names {
		files, err := sources(args.Services, name)
		if err != nil {
			return nil, err
		}
		tag, err := digest(args.Services, files, args.buildArguments(name))
		if err != nil {
			return nil, err
		}
		references[name] = reference(args.Registry, name, tag)
	}
	return references, nil
}

// New builds the images.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Images, error) {
	references, err := args.References()
	if err != nil {
		return nil, err
	}
	images := &Images{references: references, built: map[string]pulumi.Resource{}}
	if err := ctx.RegisterComponentResource("shopstream:image:Images", name, images, opts...); err != nil {
		return nil, fmt.Errorf("registering images: %w", err)
	}
	if args.Build {
		if err := images.provision(ctx, name, args); err != nil {
			return nil, err
		}
		if images.loadFirst, err = images.hook(ctx, args.Load); err != nil {
			return nil, err
		}
	}
	return images, ctx.RegisterResourceOutputs(images, pulumi.Map{"references": pulumi.ToStringMap(references)})
}

func (i *Images) provision(ctx *pulumi.Context, name string, args *Args) error {
	provider, err := docker.NewProvider(ctx, name, args.provider(), pulumi.Parent(i))
	if err != nil {
		return fmt.Errorf("configuring docker: %w", err)
	}
	previous := args.After
	for _, service := range args.Names {
		folder := path.Join(args.Staging, service)
		files, err := sources(args.Services, service)
		if err != nil {
			return err
		}
		if !args.NoDaemon {
			if err := stage(args.Services, files, folder); err != nil {
				return err
			}
		}
		// One after the other: the images share most of what is compiled, and each finds the previous one's results in the
		// cache. In parallel, each of them would compile everything.
		built, err := docker.NewImage(ctx, service, args.image(service, folder, i.references[service]),
			pulumi.Parent(i), pulumi.Provider(provider), pulumi.DependsOn(previous))
		if err != nil {
			return fmt.Errorf("building the image of %q: %w", service, err)
		}
		i.built[service] = built
		previous = []pulumi.Resource{built}
	}
	return nil
}

func (args Args) provider() *docker.ProviderArgs {
	provider := &docker.ProviderArgs{}
	if args.DockerHost != "" {
		provider.Host = pulumi.String(args.DockerHost)
	}
	if args.NoDaemon {
		// The provider connects to the daemon even in a preview, and fails without one, unless the address is unknown.
		provider.Host = pulumi.UnsafeUnknownOutput(nil).ApplyT(func(any) string { return "" }).(pulumi.StringOutput)
	}
	return provider
}

func (args Args) image(service, folder, reference string) *docker.ImageArgs {
	build := &docker.DockerBuildArgs{
		Context:    pulumi.String(folder),
		Dockerfile: pulumi.String(path.Join(folder, dockerfile)),
		Args:       pulumi.ToStringMap(args.buildArguments(service)),
	}
	if args.Platform != "" {
		build.Platform = pulumi.String(args.Platform)
	}
	image := &docker.ImageArgs{
		ImageName: pulumi.String(reference),
		Build:     build,
		SkipPush:  pulumi.Bool(args.Registry == ""),
	}
	if args.Username != "" {
		image.Registry = &docker.RegistryArgs{
			Server: pulumi.String(args.Registry), Username: pulumi.String(args.Username), Password: args.Password,
		}
	}
	return image
}

func (args Args) buildArguments(service string) map[string]string {
	return map[string]string{
		"SERVICE": service, "GO_IMAGE": args.GoImage, "BASE_IMAGE": args.BaseImage,
	}
}

// hook loads the images of a workload before the workload is created or updated. It belongs to the workload and not to
// the build, so that the next run repeats it if it failed or if the nodes are new.
func (i *Images) hook(ctx *pulumi.Context, load Load) ([]pulumi.ResourceOption, error) {
	if load == nil {
		return nil, nil
	}
	ours := slices.Collect(maps.Values(i.references))
	hook, err := ctx.RegisterResourceHook("load-image", func(workload *pulumi.ResourceHookArgs) error {
		return loadAll(imagesOf(workload.NewInputs), ours, load)
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("registering the hook that loads images: %w", err)
	}
	before := []*pulumi.ResourceHook{hook}
	return []pulumi.ResourceOption{
		pulumi.ResourceHooks(&pulumi.ResourceHookBinding{BeforeCreate: before, BeforeUpdate: before}),
	}, nil
}

// loadAll loads the images of a workload that this program builds: the others come from their registries.
func loadAll(images, ours []string, load Load) error {
	loaded := false
	for _, reference := range images {
		if !slices.Contains(ours, reference) {
			continue
		}
		if err := load(reference); err != nil {
			return err
		}
		loaded = true
	}
	if !loaded {
		return fmt.Errorf("loading the images of a workload: none of %q is built here", images)
	}
	return nil
}

// imagesOf finds the images of a workload's containers.
func imagesOf(workload resource.PropertyMap) []string {
	value := resource.NewObjectProperty(workload)
	path := []resource.PropertyKey{"spec", "template", "spec"}
	if spec := workload["spec"]; spec.IsObject() && spec.ObjectValue().HasValue("jobTemplate") {
		path = []resource.PropertyKey{"spec", "jobTemplate", "spec", "template", "spec"}
	}
	for _, key := range path {
		if !value.IsObject() {
			return nil
		}
		value = value.ObjectValue()[key]
	}
	if !value.IsObject() {
		return nil
	}
	var images []string
	for _, key := range []resource.PropertyKey{"initContainers", "containers"} {
		containers := value.ObjectValue()[key]
		if !containers.IsArray() {
			continue
		}
		for _, container := range containers.ArrayValue() {
			if container.IsObject() && container.ObjectValue()["image"].IsString() {
				images = append(images, container.ObjectValue()["image"].StringValue())
			}
		}
	}
	return images
}
