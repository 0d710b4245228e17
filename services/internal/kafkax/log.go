package kafkax

import (
	"context"
	"log/slog"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// PumpLogs writes a client's log lines to log until the client is closed. The
// channel must be drained, or the client blocks.
func PumpLogs(lines <-chan kafka.LogEvent, log *slog.Logger) {
	for line := range lines {
		log.Log(context.Background(), levelOf(line.Level), line.Message, "client", line.Name, "facility", line.Tag)
	}
}

// levelOf maps syslog severities. librdkafka recovers from lost brokers by
// itself and says so as an error: that is a warning to an operator.
func levelOf(severity int) slog.Level {
	switch {
	case severity <= 2:
		return slog.LevelError
	case severity <= 4:
		return slog.LevelWarn
	case severity <= 6:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// LogError logs an asynchronous client error at the level it deserves: local
// codes (below -100) are conditions from which the client recovers by itself.
// Lost connections come twenty times a second here while a broker is away, and
// again, less often, among the client's log lines: here they are for debugging.
// So do refused certificates and passwords, which the health check explains.
func LogError(log *slog.Logger, err kafka.Error) {
	level := slog.LevelError
	switch {
	case err.IsFatal():
	case err.Code() == kafka.ErrAllBrokersDown, err.Code() == kafka.ErrTransport,
		err.Code() == kafka.ErrAuthentication, err.Code() == kafka.ErrSsl:
		level = slog.LevelDebug
	case int(err.Code()) <= -100:
		level = slog.LevelWarn
	}
	log.Log(context.Background(), level, "kafka client", "error", err.Error(), "code", err.Code().String(), "fatal", err.IsFatal())
}
