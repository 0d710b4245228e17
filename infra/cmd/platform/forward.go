package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// forward is a port-forward into the cluster.
type forward struct {
	address string // on this machine
	close   func()
}

func (f forward) url(scheme string) string { return scheme + "://" + f.address }

var forwarding = regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) `)

// forward opens a port-forward to a service's port.
func (k kubectl) forward(ctx context.Context, namespace, target string, port int) (*forward, error) {
	ctx, cancel := context.WithCancel(ctx)
	command := k.command(ctx, "-n", namespace, "port-forward", "--address", "127.0.0.1", target, fmt.Sprintf(":%d", port))
	var said strings.Builder
	command.Stderr = &said
	command.WaitDelay = time.Second
	stdout, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("opening a port-forward to %s in %s: %w", target, namespace, err)
	}
	found := make(chan string, 1)
	go func() {
		defer close(found)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if m := forwarding.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
				break
			}
		}
		_, _ = io.Copy(io.Discard, stdout)
	}()
	stop := func() {
		cancel()
		_ = command.Wait()
	}
	select {
	case address, ok := <-found:
		if ok {
			return &forward{address, stop}, nil
		}
	case <-time.After(30 * time.Second):
	case <-ctx.Done():
	}
	stop()
	return nil, fmt.Errorf("no port-forward to %s in %s: %s", target, namespace, strings.TrimSpace(said.String()))
}

// direct is a client that uses no proxy: what it asks is this machine or the cluster's own.
func direct() *http.Client {
	return &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{Proxy: nil}}
}

// through is a client whose every connection goes to that address, whatever a URL names. The certificate is the stack's
// own matter: what is looked at is behind it.
func through(address string) *http.Client {
	return &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{
		Proxy:           nil,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
}

// visitor asks the platform's HTTP interfaces.
type visitor struct {
	http  *http.Client
	token string // of api; empty where it asks for none
}

// do sends a request and returns the answer's code and body.
func (v visitor) do(ctx context.Context, method, url, body string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if v.token != "" {
		request.Header.Set("Authorization", "Bearer "+v.token)
	}
	answer, err := v.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	return answer.StatusCode, content, err
}

func (v visitor) get(ctx context.Context, url string) ([]byte, error) {
	code, body, err := v.do(ctx, http.MethodGet, url, "")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("GET %s: %d %s", url, code, body)
	}
	return body, err
}

// apiToken is the token that api asks for; empty where it asks for none.
func (p *platform) apiToken(ctx context.Context) string {
	encoded, err := p.kube.run(ctx, "-n", shop, "get", "secret", "api-token", "-o", "jsonpath={.data.token}")
	if err != nil {
		return ""
	}
	token, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	return string(token)
}
