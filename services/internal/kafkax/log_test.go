package kafkax_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/kafkax"
)

func TestClientErrorsHaveTheLevelTheyDeserve(t *testing.T) {
	for _, tt := range []struct {
		code  kafka.ErrorCode
		fatal bool
		want  string
	}{
		{kafka.ErrAllBrokersDown, false, "DEBUG"},
		{kafka.ErrTransport, false, "DEBUG"},
		{kafka.ErrTransport, true, "ERROR"},
		{kafka.ErrTimedOut, false, "WARN"},
		{kafka.ErrTopicAuthorizationFailed, false, "ERROR"},
	} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		kafkax.LogError(log, kafka.NewError(tt.code, "it says", tt.fatal))
		if !strings.Contains(out.String(), "level="+tt.want) {
			t.Errorf("%v, fatal %v: %s", tt.code, tt.fatal, out.String())
		}
	}
}
