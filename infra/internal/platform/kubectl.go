package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// kubectl runs kubectl in a kubeconfig context, or in the current one if it is empty, and returns what it prints. The error
// contains kubectl's own message.
func kubectl(ctx context.Context, kubeContext, stdin string, arguments ...string) (string, error) {
	if kubeContext != "" {
		arguments = append([]string{"--context", kubeContext}, arguments...)
	}
	command := exec.CommandContext(ctx, "kubectl", arguments...)
	var stderr bytes.Buffer
	command.Stdin, command.Stderr = strings.NewReader(stdin), &stderr
	output, err := command.Output()
	if message := bytes.TrimSpace(stderr.Bytes()); err != nil && len(message) > 0 {
		err = fmt.Errorf("%w: %s", err, message)
	}
	return string(output), err
}

// kubectlGet decodes what kubectl gets with these arguments. An object that doesn't exist leaves into unchanged.
func kubectlGet(kubeContext string, into any, what ...string) error {
	arguments := append([]string{"get", "--output", "json", "--request-timeout", "10s", "--ignore-not-found"}, what...)
	output, err := kubectl(context.Background(), kubeContext, "", arguments...)
	if err != nil {
		return fmt.Errorf("getting %s: %w", strings.Join(what, " "), err)
	}
	if output == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(output), into); err != nil {
		return fmt.Errorf("reading %s: %w", strings.Join(what, " "), err)
	}
	return nil
}
