//go:build !cgo

package kafkax

// Without cgo there is no Kafka client, and all that the compiler says of it is "undefined: kafka.Header". It names what
// is declared twice before that, so this says what is missing.
const (
	install_a_C_compiler_and_set_CGO_ENABLED_to_1 = "the Kafka client is a C library"
	install_a_C_compiler_and_set_CGO_ENABLED_to_1 = "the Kafka client is a C library"
)
