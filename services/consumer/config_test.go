package main

import (
	"bytes"
	"strings"
	"testing"

	"shopstream/services/internal/testkit/envconftest"
)

func TestEnvironmentIsDocumented(t *testing.T) { envconftest.Golden[config](t) }

func TestBadConfigurationEndsTheStart(t *testing.T) {
	err := run(t.Context(), []string{"KAFKA_BOOTSTRAP_SERVERS=k:1", "TOTALS_TOPIC=orders", "TRANSACTION_TIMEOUT=1ms", "BATCH_SIZE=0", "PRODUCTS_LIMIT=0", "BATCH_LINGER=-1s"}, &bytes.Buffer{})
	for _, want := range []string{"ORDERS_TOPIC and TOTALS_TOPIC must differ", "TRANSACTION_TIMEOUT", "BATCH_SIZE", "PRODUCTS_LIMIT", "BATCH_LINGER"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %s: %v", want, err)
		}
	}
}
