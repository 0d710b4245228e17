package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Resource is one declared resource.
type Resource struct {
	URN          string
	Type         string
	Name         string
	Parent       string
	Custom       bool
	Inputs       resource.PropertyMap
	Dependencies []string
	Ignored      []string
	Protected    bool
}

// Stack is what a program knows about its stack.
type Stack struct {
	Project, Name string

	// Config is the stack's configuration; its keys have the project's name as a prefix.
	Config  map[string]string
	Preview bool
	Root    string
}

// Run runs a program and returns what it declares, sorted by type and name.
func Run(program pulumi.RunFunc, stack Stack) ([]Resource, error) {
	recorder := &recorder{stack: stack}
	err := pulumi.RunErr(program, pulumi.WithMocks(stack.Project, stack.Name, recorder), func(info *pulumi.RunInfo) {
		info.Config = stack.Config
		info.DryRun = stack.Preview
		info.RootDirectory = stack.Root
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(recorder.resources, func(a, b Resource) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
	return recorder.resources, nil
}

// recorder answers like a provider that creates everything exactly as requested.
type recorder struct {
	stack Stack

	mu        sync.Mutex
	resources []Resource
}

// NewResource records a resource. Pulumi calls it from many goroutines.
func (r *recorder) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	recorded := Resource{
		Type: args.TypeToken, Name: args.Name, Custom: args.Custom, Inputs: args.Inputs,
	}
	if rpc := args.RegisterRPC; rpc != nil {
		recorded.Parent = rpc.GetParent()
		recorded.Dependencies = rpc.GetDependencies()
		recorded.Ignored = rpc.GetIgnoreChanges()
		recorded.Protected = rpc.GetProtect()
	}
	recorded.URN = r.urn(recorded)
	r.resources = append(r.resources, recorded)
	return args.Name + "-id", args.Inputs, nil
}

// Call returns an error: the program uses no functions of a provider.
func (r *recorder) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, fmt.Errorf("calling %q: the recorder has no functions", args.Token)
}

// urn returns the URN of a resource in pulumi's format.
func (r *recorder) urn(recorded Resource) string {
	var parentType tokens.Type
	if parent := resource.URN(recorded.Parent); parent != "" && parent.QualifiedType() != resource.RootStackType {
		parentType = parent.QualifiedType()
	}
	return string(resource.NewURN(tokens.QName(r.stack.Name), tokens.PackageName(r.stack.Project), parentType,
		tokens.Type(recorded.Type), recorded.Name))
}
