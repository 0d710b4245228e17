package kafka

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/pod"
	"shopstream/infra/internal/secret"
)

// Security is how the cluster knows who calls, and keeps others from listening. The zero value is neither.
//
// Clients come in by TLS with a name and a password (SASL PLAIN, which is safe inside TLS), and may do what the access
// list says. Nodes know each other by their certificates.
type Security struct {
	Enabled bool

	// Users are those who may come in. Each one's password is in the Secret of CredentialsSecret, under the user's name.
	Users []string

	// Checksum changes with the content of the Secrets: nodes read them when they start, so they are started anew then.
	Checksum pulumi.StringInput
}

// Names of the Secrets, and of what is in them.
const (
	// CredentialsSecret holds every user's password, in the brokers' namespace.
	CredentialsSecret = "kafka-users"

	// CertificateSecret holds the nodes' key and certificate, and the certificate of who signed it.
	CertificateSecret = "kafka-certificate"

	// CombinedKey and AuthorityKey are the names that cert-manager gives the two files.
	CombinedKey  = "tls-combined.pem"
	AuthorityKey = "ca.crt"

	// Admin is the user who may do everything; only the Job that makes topics and access list is it.
	Admin = "admin"

	// NodeName is the common name in the nodes' certificate, by which they are known to one another.
	NodeName = "kafka"

	certificateFolder = "/etc/kafka/tls"
	certificateVolume = "certificate"

	// AuthorityFile is where every client finds the certificate that it checks the brokers' with.
	AuthorityFile = certificateFolder + "/" + AuthorityKey
)

// Authority is the file that a client's pods need, out of that Secret.
func Authority(secret string) pod.File {
	return pod.File{Volume: certificateVolume, Secret: secret, Folder: certificateFolder}
}

// protocols returns how clients and nodes are talked to.
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

// annotations are those of every node's pod.
func (s Security) annotations() pulumi.StringMap {
	if !s.Enabled {
		return nil
	}
	return pulumi.StringMap{secret.ChecksumAnnotation: s.Checksum}
}

// jaas lists the users with references to their passwords, so that no password stands in the pod's specification.
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
