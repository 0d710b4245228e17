package main

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// paging asks for a user's page in the embedded database of `make run`.
func (s *stage) paging(stored, requests int) comparison {
	return comparison{
		name: fmt.Sprintf("a user's page, %d purchases stored", stored), rounds: 1,
		ours: func(ctx context.Context) (sample, error) {
			shop, err := s.openShop(ctx)
			if err != nil {
				return sample{}, err
			}
			defer shop.close()
			if err := shop.store(ctx, stored); err != nil {
				return sample{}, err
			}
			return s.asking(ctx, shop.api, shop.page, requests)
		},
		goals: []goal{{"p50", "ms", p50, noMore, 50}, {"p99", "ms", p99, noMore, 50}},
	}
}

// shop is management-api with an embedded database.
type shop struct {
	stage    *stage
	api      *process
	database *process
	page     string // URL
	stored   int
	rows     *mongo.Collection
	close    func()
}

// pageUsers share the purchases evenly.
const pageUsers = 1000

func (s *stage) openShop(ctx context.Context) (*shop, error) {
	group, drop, err := s.topic(ctx, "letters")
	if err != nil {
		return nil, err
	}
	purchases, dropPurchases, err := s.topic(ctx, "purchases")
	if err != nil {
		return nil, err
	}
	database, err := s.part(ctx, "database")
	if err != nil {
		return nil, err
	}
	uri, err := database.line()
	if err != nil {
		return nil, err
	}
	api, addr, err := s.managementAPI(ctx, purchases, group, uri)
	if err == nil {
		err = ready(ctx, addr)
	}
	if err != nil {
		return nil, err
	}
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	return &shop{
		stage: s, api: api, database: database, page: "http://" + addr + "/api/v1/purchases/user-7", rows: client.Database("shopping").Collection("purchases"),
		close: func() {
			_ = client.Disconnect(context.WithoutCancel(ctx))
			_ = errors.Join(api.stop(), database.stop())
			drop()
			dropPurchases()
		},
	}, nil
}

// store stores purchases until there are as many.
func (s *shop) store(ctx context.Context, total int) error {
	for s.stored < total {
		documents := make([]bson.Raw, min(total-s.stored, 5*batch))
		for i := range documents {
			var err error
			if documents[i], err = purchase(s.stored + i); err != nil {
				return err
			}
		}
		if _, err := s.rows.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false)); err != nil {
			return fmt.Errorf("storing purchases: %w", err)
		}
		s.stored += len(documents)
	}
	return nil
}
