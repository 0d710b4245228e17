//go:build !cgo

package kafkax

// Without cgo there is no Kafka client, and the compiler only says "undefined: kafka.Header". It reports duplicate
// declarations before that, so the name of this one says what is missing.
const (
	install_a_C_compiler_and_set_CGO_ENABLED_to_1 = "the Kafka client is a C library"
	install_a_C_compiler_and_set_CGO_ENABLED_to_1 = "the Kafka client is a C library"
)
