package kafkax

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// TestEveryProduceErrorIsCountedUnderAKnownReason tries every code of the client,
// including later brokers' codes: a reason that produceErrors lacks would have no
// counter before its first error.
func TestEveryProduceErrorIsCountedUnderAKnownReason(t *testing.T) {
	errs := []error{errors.New("something else")}
	for code := -200; code < 300; code++ {
		errs = append(errs, fmt.Errorf("producing: %w", kafka.NewError(kafka.ErrorCode(code), "", false)))
	}
	seen := map[string]bool{}
	for _, err := range errs {
		reason := produceError(err)
		if !slices.Contains(produceErrors, reason) {
			t.Errorf("%v is counted under %q, which is no known reason", err, reason)
		}
		seen[reason] = true
	}
	for _, reason := range produceErrors {
		if !seen[reason] {
			t.Errorf("no error is counted under %q", reason)
		}
	}
}
