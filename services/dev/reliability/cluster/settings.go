package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// checkSettings asks every broker for its settings. A broker silently ignores a setting that
// it doesn't know, such as a misspelt one.
func (c *Cluster) checkSettings(ctx context.Context) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	defer client.Close()
	var faults []error
	for i := range c.nodes {
		id, err := c.Property(i, "node.id")
		if err != nil {
			return err
		}
		resource := kmsg.NewDescribeConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeBroker, id
		request := kmsg.NewPtrDescribeConfigsRequest()
		request.Resources = append(request.Resources, resource)
		var broker int
		if _, err := fmt.Sscan(id, &broker); err != nil {
			return fmt.Errorf("reading node %d's id %q: %w", i, id, err)
		}
		response, err := request.RequestWith(ctx, client.Broker(broker))
		if err != nil {
			return fmt.Errorf("requesting the settings of broker %s: %w", id, err)
		}
		for _, described := range response.Resources {
			for _, setting := range described.Configs {
				if setting.ConfigType == kmsg.ConfigTypeUnknown && !slices.Contains(ofAuthorizer, setting.Name) {
					faults = append(faults, fmt.Errorf("node %d: KAFKA_%s sets %q, which Kafka doesn't know", i, strings.ToUpper(strings.ReplaceAll(setting.Name, ".", "_")), setting.Name))
				}
			}
		}
	}
	return errors.Join(faults...)
}

// ofAuthorizer are settings of the authorizer, which the broker doesn't know.
var ofAuthorizer = []string{"super.users", "allow.everyone.if.no.acl.found"}
