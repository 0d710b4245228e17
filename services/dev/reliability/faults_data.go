package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"shopstream/services/internal/retry"
)

func loseDatabase(ctx context.Context, s *stage, _ *rand.Rand) error {
	s.database.Close()
	retry.Sleep(ctx, 8*time.Second)
	return s.startDatabase()
}

func slowDatabase(ctx context.Context, s *stage, _ *rand.Rand) error {
	s.network.database.slow(500 * time.Millisecond)
	retry.Sleep(ctx, 10*time.Second)
	s.network.database.slow(0)
	return nil
}

func stallDatabase(ctx context.Context, s *stage, _ *rand.Rand) error {
	s.network.database.stall(true)
	retry.Sleep(ctx, 15*time.Second)
	s.network.database.stall(false)
	return nil
}

// addPartitions adds partitions to every topic while it is read and written. A key may
// then belong to another partition than before.
func addPartitions(ctx context.Context, s *stage, _ *rand.Rand) error {
	admin, err := s.brokers.Admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	for range 2 {
		added, err := admin.CreatePartitions(ctx, 2, "purchases", "orders", "product-totals")
		if err == nil {
			err = added.Error()
		}
		if err != nil {
			return fmt.Errorf("adding partitions: %w", err)
		}
		retry.Sleep(ctx, 6*time.Second) // clients look for new partitions every few seconds
	}
	return nil
}
