package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"

	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/plan"
	program "shopstream/infra/internal/platform"
	"shopstream/infra/internal/secret"
)

// bringUp runs pulumi up. Each run makes one step of the renewal of Kafka's certificate, so it is repeated until that is done.
func (p *platform) bringUp(ctx context.Context, stack *auto.Stack) error {
	out, stop := p.followMoves(ctx)
	defer stop()
	for range secret.RenewalSteps {
		result, err := stack.Up(ctx, optup.ProgressStreams(out), optup.ErrorProgressStreams(os.Stderr), optup.Color(p.color()))
		if err != nil {
			return err
		}
		made, ok := result.Outputs[program.RenewalOutput]
		if !ok {
			return nil
		}
		fmt.Fprintf(out, "\nKafka's certificate is being renewed: step %v of %d is done\n", made.Value, secret.RenewalSteps)
	}
	return nil
}

// certificateEnd returns when the certificate of Kafka's nodes expires (RFC 3339). It is empty if they have none.
func (p *platform) certificateEnd(ctx context.Context) (string, error) {
	if !p.config.Kafka.Secure {
		return "", nil
	}
	encoded, err := p.kube.run(ctx, "-n", plan.DataNamespace, "get", "secret", kafka.CertificateSecret,
		"-o", `jsonpath={.data.`+strings.ReplaceAll(kafka.CombinedKey, ".", `\.`)+`}`)
	if err != nil {
		return "", err
	}
	combined, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", fmt.Errorf("reading the Secret %s: %w", kafka.CertificateSecret, err)
	}
	end, err := secret.End(string(combined))
	if err != nil {
		return "", err
	}
	return end.UTC().Format(time.RFC3339), nil
}

func (p *platform) printCertificate(end string) {
	at, err := time.Parse(time.RFC3339, end)
	if err != nil {
		return
	}
	p.step("Kafka's certificate")
	expires := fmt.Sprintf("expires on %s, in %d days", at.Format(time.DateOnly), int(time.Until(at)/(24*time.Hour)))
	if time.Now().After(at) {
		expires = "EXPIRED on " + at.Format(time.DateOnly)
	}
	p.say("%s. make up renews it in its last %d days, unless kafkaCertificate is set: then set a new one yourself",
		expires, int(secret.RenewBefore/(24*time.Hour)))
}
