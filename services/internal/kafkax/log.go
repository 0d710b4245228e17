package kafkax

import (
	"context"
	"log/slog"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// pumpLogs writes a client's log lines to log until the client is closed. The
// channel must be drained, or the client blocks.
func pumpLogs(lines <-chan kafka.LogEvent, log *slog.Logger) {
	for line := range lines {
		log.Log(context.Background(), levelOf(line.Level), line.Message, "client", line.Name, "facility", line.Tag)
	}
}

// levelOf maps syslog severities. librdkafka logs a lost broker as an error although it
// reconnects by itself: for an operator that is a warning.
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

// LogError logs an asynchronous client error. The client recovers by itself from errors
// with local codes (below -100): they are warnings. While a broker is unreachable, lost
// connections and rejected certificates and passwords are reported here twenty times a
// second, so they are logged at debug level only: the client's own log lines and the
// health check report them too.
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
