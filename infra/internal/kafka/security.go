package kafka

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/pod"
	"shopstream/infra/internal/secret"
)

// Security is TLS, authentication and authorization. The zero value is none of them.
//
// Clients connect by TLS and authenticate with a username and a password (SASL PLAIN, which is safe inside TLS). The access
// list says what each may do. Nodes authenticate each other by their certificates (mutual TLS).
type Security struct {
	Enabled bool

	// Users are the SASL usernames. The Secret CredentialsSecret has the password of each under its name.
	Users []string

	// Checksum changes with the content of the Secrets, and so restarts the nodes, which read them only when they start.
	Checksum pulumi.StringInput
}

// Names of the Secrets, and of what is in them.
const (
	// CredentialsSecret holds every user's password, in the brokers' namespace.
	CredentialsSecret = "kafka-users"

	// CertificateSecret holds the nodes' private key and certificate, and the certificate authority.
	CertificateSecret = "kafka-certificate"

	// CombinedKey and AuthorityKey are the names that cert-manager gives the two files.
	CombinedKey  = "tls-combined.pem"
	AuthorityKey = "ca.crt"

	// Admin is a super user; only the topics Job uses it.
	Admin = "admin"

	// NodeName is the common name in the nodes' certificate, and so their principal.
	NodeName = "kafka"

	certificateFolder = "/etc/kafka/tls"
	certificateVolume = "certificate"

	// AuthorityFile is the path of the certificate authority in every client's container.
	AuthorityFile = certificateFolder + "/" + AuthorityKey
)

// Authority returns that Secret as the file that a client's pods mount.
func Authority(secret string) pod.File {
	return pod.File{Volume: certificateVolume, Secret: secret, Folder: certificateFolder}
}

// protocols returns the security protocols of the listeners for clients and for nodes.
func (s Security) protocols() (clients, nodes string) {
	if s.Enabled {
		return "SASL_SSL", "SSL"
	}
	return "PLAINTEXT", "PLAINTEXT"
}

// environment returns the settings that security adds to every node's.
func (s Security) environment() []pod.Env {
	if !s.Enabled {
		return nil
	}
	env := make([]pod.Env, 0, len(s.Users)+16)
	for _, user := range s.Users {
		env = append(env, pod.Secret(passwordVariable(user), CredentialsSecret, user))
	}
	return append(env,
		pod.Value("KAFKA_SSL_KEYSTORE_TYPE", "PEM"),
		pod.Value("KAFKA_SSL_KEYSTORE_LOCATION", certificateFolder+"/"+CombinedKey),
		pod.Value("KAFKA_SSL_TRUSTSTORE_TYPE", "PEM"),
		pod.Value("KAFKA_SSL_TRUSTSTORE_LOCATION", certificateFolder+"/"+AuthorityKey),
		pod.Value("KAFKA_LISTENER_NAME_INTERNAL_SSL_CLIENT_AUTH", "required"),
		pod.Value("KAFKA_LISTENER_NAME_CONTROLLER_SSL_CLIENT_AUTH", "required"),
		pod.Value("KAFKA_SASL_ENABLED_MECHANISMS", "PLAIN"),
		pod.Value("KAFKA_LISTENER_NAME_CLIENT_PLAIN_SASL_JAAS_CONFIG", s.jaas()),
		pod.Value("KAFKA_AUTHORIZER_CLASS_NAME", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
		pod.Value("KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND", "false"),
		pod.Value("KAFKA_SUPER_USERS", "User:CN="+NodeName+";User:"+Admin),
	)
}

// annotations returns those of every node's pod.
func (s Security) annotations() pulumi.StringMap {
	if !s.Enabled {
		return nil
	}
	return pulumi.StringMap{secret.ChecksumAnnotation: s.Checksum}
}

// jaas lists the users with references to their passwords, so that no password is in the pod's specification.
func (s Security) jaas() string {
	var line strings.Builder
	line.WriteString("org.apache.kafka.common.security.plain.PlainLoginModule required")
	for _, user := range s.Users {
		fmt.Fprintf(&line, ` user_%s="$(%s)"`, user, passwordVariable(user))
	}
	return line.String() + ";"
}

func passwordVariable(user string) string {
	return "PASSWORD_" + strings.ToUpper(strings.ReplaceAll(user, "-", "_"))
}
