package platform

import (
	"encoding/base64"
	"fmt"
	"time"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/label"
	"shopstream/infra/internal/plan"
	"shopstream/infra/internal/secret"
)

const (
	// nextKey is the key of the next certificate in the Secret, until all nodes and clients trust its authority.
	nextKey = "next-tls-combined.pem"

	// startedName is the ConfigMap with the checksum of the certificate that all nodes and clients were last started with. It
	// is written at the end of an up, after all pods are ready.
	startedName = "kafka-certificate-started"
	startedKey  = "checksum"

	// RenewalOutput is the stack's output with the last step of a renewal that is not complete.
	RenewalOutput = "kafkaCertificateStep"
)

// storedCertificate is a generated certificate in the cluster: the data of its Secret, in base64, and the checksum of the data
// that all nodes and clients were last started with. The zero value is for a cluster without one.
type storedCertificate struct {
	data    map[string]string
	started string
}

// certificate returns the content of the Secret of the nodes' certificate: what the stack sets, or a certificate that is
// generated once and renewed, step by step, before it expires.
func (p platform) certificate(ctx *pulumi.Context) (map[string]secret.Value, secret.Renewal, error) {
	given := func(text string) secret.Value { return secret.Given(pulumi.String(text)) }
	if p.secrets.KafkaCertificate != "" {
		values := map[string]secret.Value{
			kafka.CombinedKey: given(p.secrets.KafkaCertificate), kafka.AuthorityKey: given(p.secrets.KafkaAuthority),
		}
		return values, secret.Renewal{}, p.warnOfEnd(ctx, time.Now())
	}
	issue := func() (secret.Pair, error) {
		return p.host.issue(kafka.Hosts(plan.DataNamespace, p.config.Cluster.Domain))
	}
	renewal, err := p.renew(ctx, issue)
	if err != nil {
		return nil, renewal, err
	}
	if renewal.Step == 0 {
		pair, err := issue()
		values := map[string]secret.Value{kafka.CombinedKey: secret.Once(pair.Combined), kafka.AuthorityKey: secret.Once(pair.Authority)}
		return values, renewal, err
	}
	values := map[string]secret.Value{kafka.CombinedKey: given(renewal.Combined), kafka.AuthorityKey: given(renewal.Authority)}
	if renewal.Next != "" {
		values[nextKey] = given(renewal.Next)
	}
	return values, renewal, nil
}

// renew returns the step of the renewal to make in this up, which is usually none. A preview without a cluster continues and
// says what it could not check.
func (p platform) renew(ctx *pulumi.Context, issue func() (secret.Pair, error)) (secret.Renewal, error) {
	stored, err := p.host.kafkaCertificate(p.config.Cluster.Context)
	if err != nil && ctx.DryRun() {
		return secret.Renewal{}, ctx.Log.Warn(fmt.Sprintf("No cluster answers, so this preview can't tell whether Kafka's certificate would be renewed: %v", err), nil)
	}
	if err != nil {
		return secret.Renewal{}, fmt.Errorf("checking whether Kafka's certificate must be renewed: %w", err)
	}
	if len(stored.data) == 0 {
		return secret.Renewal{}, nil // this is the first up
	}
	has := secret.Renewal{}
	for key, into := range map[string]*string{kafka.CombinedKey: &has.Combined, kafka.AuthorityKey: &has.Authority, nextKey: &has.Next} {
		text, err := base64.StdEncoding.DecodeString(stored.data[key])
		if err != nil {
			return secret.Renewal{}, fmt.Errorf("reading %s of the Secret %s: %w", key, kafka.CertificateSecret, err)
		}
		*into = string(text)
	}
	renewal, err := secret.Renew(has, stored.started == secret.ChecksumOf(stored.data), time.Now(), issue)
	if err != nil {
		return secret.Renewal{}, fmt.Errorf("checking whether the certificate in the Secret %s must be renewed: %w; to replace it, set kafkaCertificate and kafkaAuthority", kafka.CertificateSecret, err)
	}
	if renewal.Step == 0 {
		return renewal, nil
	}
	return renewal, ctx.Log.Info(renewalText(renewal), nil)
}

func renewalText(r secret.Renewal) string {
	what := map[int]string{
		1: "all nodes and clients will also trust the authority of the next one",
		2: "the nodes will use the next one",
		3: "the authority of the former one will no longer be trusted",
	}[r.Step]
	text := fmt.Sprintf("Kafka's certificate is being renewed, step %d of %d: %s. All nodes of Kafka and all services are restarted, one after the other.", r.Step, secret.RenewalSteps, what)
	if r.UnderWay() {
		text += " The next up makes the next step; make up goes on by itself."
	}
	return text
}

// warnOfEnd warns before a certificate that the stack sets expires, since that one isn't renewed automatically.
func (p platform) warnOfEnd(ctx *pulumi.Context, now time.Time) error {
	end, err := secret.End(p.secrets.KafkaCertificate)
	if err != nil {
		return err
	}
	if now.Before(end.Add(-secret.RenewBefore)) {
		return nil
	}
	return ctx.Log.Warn(fmt.Sprintf("The certificate in kafkaCertificate expires on %s: set a new one of the same authority before that (docs/day2.md).", end.UTC().Format(time.DateOnly)), nil)
}

// noteStarted records which certificate all nodes and clients were started with. It depends on all of them.
func (p platform) noteStarted(ctx *pulumi.Context, credentials kafkaCredentials, namespace pulumi.StringInput, workloads []pulumi.Resource, opts ...pulumi.ResourceOption) error {
	if credentials.certificate == nil || p.secrets.KafkaCertificate != "" {
		return nil
	}
	if step := credentials.renewal; step.UnderWay() {
		ctx.Export(RenewalOutput, pulumi.Int(step.Step))
	}
	_, err := corev1.NewConfigMap(ctx, startedName, &corev1.ConfigMapArgs{
		Metadata: label.Meta(startedName, namespace, label.Standard(startedName, "credentials")),
		Data:     pulumi.StringMap{startedKey: secret.Checksum(credentials.certificate)},
	}, append(opts, pulumi.DependsOn(workloads))...)
	if err != nil {
		return fmt.Errorf("recording the certificate that was rolled out: %w", err)
	}
	return nil
}

// kubectlCertificate reads the Secret and the ConfigMap of the cluster in that kubeconfig context.
func kubectlCertificate(kubeContext string) (storedCertificate, error) {
	var object struct {
		Data map[string]string `json:"data"`
	}
	var stored storedCertificate
	if err := kubectlGet(kubeContext, &object, "--namespace", plan.DataNamespace, "secret", kafka.CertificateSecret); err != nil {
		return stored, err
	}
	stored.data, object.Data = object.Data, nil
	err := kubectlGet(kubeContext, &object, "--namespace", plan.DataNamespace, "configmap", startedName)
	stored.started = object.Data[startedKey]
	return stored, err
}
