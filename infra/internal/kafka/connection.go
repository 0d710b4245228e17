package kafka

import (
	"fmt"

	"shopstream/infra/internal/pod"
)

// Connection says how clients connect to a cluster: the stack's own, or an external one.
type Connection struct {
	// BootstrapServers are the brokers to connect to first, host:port, separated by commas.
	BootstrapServers string

	// TLS encrypts. Authority means that clients verify the brokers with AuthorityFile, not with the system's authorities.
	TLS, Authority bool

	// Mechanism is SASL's; empty means no authentication.
	Mechanism string

	// Zone tells a client its zone, so that it reads from the replica there.
	Zone bool
}

// Login says where a client finds its username and password: in a Secret of its namespace. With the stack's own
// cluster, the usernames are known, and Username contains them.
type Login struct {
	Secret, UsernameKey, PasswordKey string
	Username                         string
}

// EnvVars returns what a client needs to connect.
func (c Connection) EnvVars(login Login) []pod.Env {
	env := []pod.Env{pod.Value("KAFKA_BOOTSTRAP_SERVERS", c.BootstrapServers)}
	if c.Zone {
		env = append(env, pod.Zone("KAFKA_CLIENT_RACK"))
	}
	if protocol := c.protocol(); protocol != "plaintext" {
		env = append(env, pod.Value("KAFKA_SECURITY_PROTOCOL", protocol))
	}
	if c.Mechanism != "" {
		username := pod.Value("KAFKA_SASL_USERNAME", login.Username)
		if login.UsernameKey != "" {
			username = pod.Secret("KAFKA_SASL_USERNAME", login.Secret, login.UsernameKey)
		}
		env = append(env, pod.Value("KAFKA_SASL_MECHANISM", c.Mechanism), username,
			pod.Secret("KAFKA_SASL_PASSWORD", login.Secret, login.PasswordKey))
	}
	if c.Authority {
		env = append(env, pod.Value("KAFKA_TLS_CA_FILE", AuthorityFile))
	}
	return env
}

// protocol returns the security protocol in the services' notation.
func (c Connection) protocol() string {
	switch {
	case c.TLS && c.Mechanism != "":
		return "sasl_ssl"
	case c.TLS:
		return "ssl"
	case c.Mechanism != "":
		return "sasl_plaintext"
	}
	return "plaintext"
}

// Connection says how clients connect to this cluster.
func (args ClusterArgs) Connection() Connection {
	connection := Connection{BootstrapServers: BootstrapServers(args.Namespace.Name, args.ClusterDomain), Zone: args.Zones}
	if args.Security.Enabled {
		connection.TLS, connection.Authority, connection.Mechanism = true, true, "PLAIN"
	}
	return connection
}

// BootstrapServers returns the address of the stack's own cluster in a namespace. It is fully qualified, since KEDA
// connects from another namespace.
func BootstrapServers(namespace, domain string) string {
	return fmt.Sprintf("%s.%s.svc.%s:%d", Name, namespace, domain, ClientPort)
}
