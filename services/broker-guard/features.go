package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// levels are those of the cluster's features (KIP-584).
type levels struct{ supported, finalized map[string]int16 }

// features asks a broker for the features that it supports, and those that it knows to be
// finalized.
func (c *cluster) features(ctx context.Context, id int32) (levels, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request := kmsg.NewPtrApiVersionsRequest()
	request.ClientSoftwareName, request.ClientSoftwareVersion = "broker-guard", "1"
	response, err := request.RequestWith(ctx, c.client.Broker(int(id)))
	if err == nil {
		err = kerr.ErrorForCode(response.ErrorCode)
	}
	if err != nil {
		return levels{}, fmt.Errorf("requesting the features of broker %d: %w", id, err)
	}
	l := levels{supported: map[string]int16{}, finalized: map[string]int16{}}
	for _, f := range response.SupportedFeatures {
		l.supported[f.Name] = f.MaxVersion
		l.finalized[f.Name] = 0 // as long as nothing else is said
	}
	for _, f := range response.FinalizedFeatures {
		l.finalized[f.Name] = f.MaxVersionLevel
	}
	return l, nil
}
