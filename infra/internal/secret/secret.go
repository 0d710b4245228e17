// Package secret declares Kubernetes Secrets with values that the stack sets, and values that are generated once.
package secret

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// ChecksumAnnotation is the annotation of a pod with the checksum of the Secrets that it was started with.
const ChecksumAnnotation = "shopstream/secret-checksum"

// Value is the value of one key.
type Value struct {
	text pulumi.StringInput

	// once values are generated in every run, but only the first one is kept.
	once bool
}

// Given is a value that the caller knows, such as a secret of the stack's configuration.
func Given(text pulumi.StringInput) Value { return Value{text: text} }

// Generated returns that many random bytes as hexadecimal digits, which need no escapes in a URL. The value of the first
// run is kept; to change it, set one in the stack.
func Generated(random io.Reader, bytes int) (Value, error) {
	raw := make([]byte, bytes)
	if _, err := io.ReadFull(random, raw); err != nil {
		return Value{}, fmt.Errorf("generating a secret: %w", err)
	}
	return Once(hex.EncodeToString(raw)), nil
}

// Once is a value that is generated in every run, and of which the first one is kept.
func Once(text string) Value { return Value{text: pulumi.String(text), once: true} }

// Secret is a Kubernetes Secret.
type Secret struct {
	*corev1.Secret
}

// New declares a Secret.
func New(
	ctx *pulumi.Context, name string, meta *metav1.ObjectMetaArgs, values map[string]Value, opts ...pulumi.ResourceOption,
) (*Secret, error) {
	data := pulumi.StringMap{}
	var ignored []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		data[key] = encode(values[key].text)
		if values[key].once {
			ignored = append(ignored, fmt.Sprintf("data[%q]", key))
		}
	}
	object, err := corev1.NewSecret(ctx, name, &corev1.SecretArgs{Metadata: meta, Data: data},
		append(slices.Clone(opts), pulumi.IgnoreChanges(ignored))...)
	if err != nil {
		return nil, fmt.Errorf("creating secret %q: %w", name, err)
	}
	return &Secret{Secret: object}, nil
}

// Value returns the value of a key as it is in the cluster: for a generated value, that of the first run.
func (s *Secret) Value(key string) Value {
	encoded := s.Data.MapIndex(pulumi.String(key))
	text := encoded.ApplyT(func(value string) (string, error) {
		decoded, err := base64.StdEncoding.DecodeString(value)
		return string(decoded), err
	}).(pulumi.StringOutput)
	return Given(pulumi.ToSecret(text).(pulumi.StringOutput))
}

// Checksum changes with the content of any of the Secrets. In a pod's annotations it makes a changed secret roll the
// pods that read it. Eight bytes of a digest reveal nothing, so the checksum is not a secret.
func Checksum(secrets ...*Secret) pulumi.StringOutput {
	contents := make([]any, 0, len(secrets))
	for _, s := range secrets {
		contents = append(contents, s.Data)
	}
	sum := pulumi.All(contents...).ApplyT(func(all []any) string {
		data := make([]map[string]string, len(all))
		for i, content := range all {
			data[i], _ = content.(map[string]string)
		}
		return ChecksumOf(data...)
	}).(pulumi.StringOutput)
	return pulumi.Unsecret(sum).(pulumi.StringOutput)
}

// ChecksumOf is the checksum of Secrets whose data, in base64, are these.
func ChecksumOf(contents ...map[string]string) string {
	digest := sha256.New()
	for _, data := range contents {
		for _, key := range slices.Sorted(maps.Keys(data)) {
			fmt.Fprintln(digest, key, data[key])
		}
	}
	return hex.EncodeToString(digest.Sum(nil)[:8])
}

func encode(text pulumi.StringInput) pulumi.StringInput {
	encoded := text.ToStringOutput().ApplyT(func(value string) string {
		return base64.StdEncoding.EncodeToString([]byte(value))
	}).(pulumi.StringOutput)
	return pulumi.ToSecret(encoded).(pulumi.StringOutput)
}
