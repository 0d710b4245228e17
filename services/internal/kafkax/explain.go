package kafkax

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Explain says why no broker answers, if the cause is TLS or authentication:
// librdkafka's errors name neither what is wrong with a certificate nor the fix. It
// connects as a client does and reports the first step that fails. Nil means that
// every step succeeded, or that the cause is unknown.
func (c Config) Explain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	var errs []error
	for _, server := range strings.Split(c.BootstrapServers, ",") {
		server = strings.TrimSpace(server)
		err := c.tryConnecting(ctx, server)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", server, err))
		if errors.Is(err, ErrRefused) {
			return errs[len(errs)-1] // all brokers have the same listeners
		}
	}
	return errors.Join(errs...)
}

// ErrRefused is wrapped by faults that are not transient: a credential, a certificate
// or a grant has to be fixed.
var ErrRefused = errors.New("refused")

func refusal(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrRefused}, args...)...)
}

func (c Config) tryConnecting(ctx context.Context, server string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", server)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(explainTimeout)); err != nil {
		return err
	}
	if strings.HasSuffix(c.SecurityProtocol, "ssl") {
		if conn, err = c.handshake(ctx, conn, server); err != nil {
			return err
		}
	}
	return c.authenticate(ctx, conn)
}

// handshake checks the broker's certificate and names its fault.
func (c Config) handshake(ctx context.Context, conn net.Conn, server string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(server)
	if err != nil {
		return nil, err
	}
	settings, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	settings.ServerName = host
	trusted := "the system's certificate authorities"
	if c.TLSCAFile != "" {
		trusted = "KAFKA_TLS_CA_FILE (" + c.TLSCAFile + ")"
	}
	secured := tls.Client(conn, settings)
	err = secured.HandshakeContext(ctx)
	var (
		unknown  x509.UnknownAuthorityError
		name     x509.HostnameError
		invalid  x509.CertificateInvalidError
		noTLS    tls.RecordHeaderError
		refusing *net.OpError
	)
	switch {
	case err == nil:
		return secured, nil
	case errors.As(err, &unknown):
		return nil, refusal("the broker's certificate is signed by no authority in %s: add the one that signed it, or give the broker a certificate signed by one of them", trusted)
	case errors.As(err, &name):
		return nil, refusal("%v: connect by a name that is in the certificate, or give the broker a certificate for this name", name)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return nil, refusal("the broker's certificate is not valid now (%s to %s): renew it, or correct this machine's clock",
			invalid.Cert.NotBefore.Format(time.RFC3339), invalid.Cert.NotAfter.Format(time.RFC3339))
	case errors.As(err, &invalid):
		return nil, refusal("the broker's certificate: %v", invalid)
	case errors.As(err, &noTLS), errors.Is(err, io.EOF):
		return nil, refusal("the listener doesn't speak TLS, but KAFKA_SECURITY_PROTOCOL is %s: connect to the port of a TLS listener, or set another protocol", c.SecurityProtocol)
	case errors.As(err, &refusing) && refusing.Op == "remote error":
		return nil, refusal("the broker ended the TLS handshake (%v): if it requires a client certificate, set KAFKA_TLS_CERT_FILE", err)
	}
	return nil, err
}

// authenticate logs in as the configured user; without one, it checks that the listener
// accepts anonymous clients.
func (c Config) authenticate(ctx context.Context, conn net.Conn) error {
	if !strings.HasPrefix(c.SecurityProtocol, "sasl") {
		return c.anonymous(ctx, conn)
	}
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.Version, handshake.Mechanism = 1, c.SASLMechanism
	answer, err := exchange(conn, handshake)
	if err != nil {
		return fmt.Errorf("the broker closed the connection: %w", err)
	}
	switch err := kerr.ErrorForCode(answer.(*kmsg.SASLHandshakeResponse).ErrorCode); {
	case errors.Is(err, kerr.IllegalSaslState):
		return refusal("the listener has no authentication, but KAFKA_SECURITY_PROTOCOL is %s: connect to the port of a SASL listener, or set another protocol", c.SecurityProtocol)
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return refusal("the broker doesn't support KAFKA_SASL_MECHANISM %s: set one of %s",
			c.SASLMechanism, strings.Join(answer.(*kmsg.SASLHandshakeResponse).SupportedMechanisms, ", "))
	}
	session, message, err := c.login().Authenticate(ctx, conn.RemoteAddr().String())
	for done := false; err == nil && !done; {
		authenticate := kmsg.NewPtrSASLAuthenticateRequest()
		authenticate.SASLAuthBytes = message
		answer, err = exchange(conn, authenticate)
		if errors.Is(err, io.EOF) || err == nil && answer.(*kmsg.SASLAuthenticateResponse).ErrorCode != 0 {
			return refusal("the broker rejects user %q: KAFKA_SASL_PASSWORD is wrong, or the user does not exist", c.SASLUsername)
		}
		if err == nil {
			done, message, err = session.Challenge(answer.(*kmsg.SASLAuthenticateResponse).SASLAuthBytes)
		}
	}
	return err
}

// anonymous requests the metadata of no topic. A SASL listener closes the connection
// after that, a TLS listener after anything in plaintext.
func (c Config) anonymous(ctx context.Context, conn net.Conn) error {
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version, metadata.Topics = 1, []kmsg.MetadataRequestTopic{} // nil would request all topics
	_, err := exchange(conn, metadata)
	switch {
	case err == nil:
		return nil
	case c.SecurityProtocol == "plaintext" && speaksTLS(ctx, conn.RemoteAddr().String()):
		return refusal("the listener speaks TLS, but KAFKA_SECURITY_PROTOCOL is plaintext: set ssl or sasl_ssl")
	case errors.Is(err, io.EOF):
		return refusal("the listener accepts no client without authentication, but KAFKA_SECURITY_PROTOCOL is %s: "+
			"set sasl_ssl, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD", c.SecurityProtocol)
	}
	return err
}

// exchange sends one request of Kafka's protocol and returns the response.
func exchange(conn net.Conn, request kmsg.Request) (kmsg.Response, error) {
	format := kmsg.NewRequestFormatter(kmsg.FormatterClientID("explain"))
	if _, err := conn.Write(format.AppendRequest(nil, request, 1)); err != nil {
		return nil, err
	}
	var head struct{ Size, Correlation uint32 }
	if err := binary.Read(conn, binary.BigEndian, &head); err != nil {
		return nil, err
	}
	if head.Size < 4 || head.Size > 1<<16 {
		return nil, fmt.Errorf("a response of %d bytes is not Kafka's protocol", head.Size)
	}
	body := make([]byte, head.Size-4)
	if _, err := io.ReadFull(conn, body); err != nil {
		return nil, err
	}
	answer := request.ResponseKind()
	return answer, answer.ReadFrom(body)
}

func speaksTLS(ctx context.Context, server string) bool {
	// No data is sent: only the success of the handshake matters.
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // see above
	conn, err := dialer.DialContext(ctx, "tcp", server)
	if err != nil {
		var answer tls.AlertError
		return errors.As(err, &answer)
	}
	_ = conn.Close()
	return true
}
