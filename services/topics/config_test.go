package main

import (
	"testing"

	"shopstream/services/internal/envconf/envconftest"
)

func TestEnvironmentIsDocumented(t *testing.T) { envconftest.Golden[config](t) }
