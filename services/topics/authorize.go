package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/retry"
)

// authorize changes the brokers' access list to what was declared for the listed
// users: it first grants what is missing, then revokes what is not declared. Like
// reconcile it acts on what it has just read, and ends once it reads that nothing
// is left to do.
func authorize(ctx context.Context, log *slog.Logger, c *cluster, declared []user) error {
	granted, taken := map[string]int{}, map[string]int{}
	for {
		missing, surplus, err := c.compare(ctx, declared)
		if err == nil && len(missing)+len(surplus) == 0 {
			break
		}
		if err == nil {
			err = c.change(ctx, missing, surplus)
		}
		if final(err) {
			return explainAccess(err)
		}
		if err == nil {
			for _, b := range missing {
				granted[b.Principal]++
			}
			for _, b := range surplus {
				taken[b.Principal]++
			}
		} else {
			log.Debug("trying again", "error", err)
		}
		if !retry.Sleep(ctx, pause) {
			return errors.Join(context.Cause(ctx), err, fmt.Errorf("the access list: %d grants are still missing and %d still to be revoked", len(missing), len(surplus)))
		}
	}
	for _, u := range declared {
		principal := "User:" + u.name
		outcome := "unchanged"
		if granted[principal]+taken[principal] > 0 {
			outcome = "changed"
		}
		log.Info("user", "user", u.name, "outcome", outcome, "grants", len(u.allow), "granted", granted[principal], "taken_away", taken[principal])
	}
	return nil
}

// compare returns the grants that the listed users lack, and those that they have
// beyond the declaration. Deny rules count too: only the declaration is to apply.
func (c *cluster) compare(ctx context.Context, declared []user) (missing, surplus []kafka.ACLBinding, err error) {
	now, err := c.access(ctx)
	if err != nil {
		return nil, nil, err
	}
	missing, surplus = difference(declared, now)
	return missing, surplus, nil
}

func difference(declared []user, now []kafka.ACLBinding) (missing, surplus []kafka.ACLBinding) {
	managed := map[string]bool{}
	wanted := map[kafka.ACLBinding]bool{}
	for _, u := range declared {
		managed["User:"+u.name] = true
		for _, b := range u.allow {
			wanted[b] = true
			if !slices.Contains(now, b) {
				missing = append(missing, b)
			}
		}
	}
	for _, b := range now {
		if managed[b.Principal] && !wanted[b] {
			surplus = append(surplus, b)
		}
	}
	return missing, surplus
}

// change grants before it revokes, so that no user is without both when one grant
// replaces another.
func (c *cluster) change(ctx context.Context, missing, surplus []kafka.ACLBinding) error {
	if len(missing) > 0 {
		results, err := c.admin.CreateACLs(ctx, missing, kafka.SetAdminRequestTimeout(kafkax.ChangeTimeout))
		if err != nil {
			return fmt.Errorf("granting: %w", err)
		}
		for i, r := range results {
			if r.Error.Code() != kafka.ErrNoError {
				return fmt.Errorf("granting %s %s on %q: %w", missing[i].Principal, missing[i].Operation, missing[i].Name, r.Error)
			}
		}
	}
	if len(surplus) > 0 {
		// Each filter names all fields, so that it matches nothing else.
		results, err := c.admin.DeleteACLs(ctx, surplus, kafka.SetAdminRequestTimeout(kafkax.ChangeTimeout))
		if err != nil {
			return fmt.Errorf("revoking grants: %w", err)
		}
		for i, r := range results {
			if r.Error.Code() != kafka.ErrNoError {
				return fmt.Errorf("revoking %s on %q from %s: %w", surplus[i].Operation, surplus[i].Name, surplus[i].Principal, r.Error)
			}
		}
	}
	return nil
}

// access reads the brokers' whole access list. librdkafka (2.11) reports an empty
// list if reading it is refused. At least one grant is always declared, and the
// attempt to make it then fails with the reason.
func (c *cluster) access(ctx context.Context) ([]kafka.ACLBinding, error) {
	found, err := c.admin.DescribeACLs(ctx, kafka.ACLBindingFilter{
		Type: kafka.ResourceAny, ResourcePatternType: kafka.ResourcePatternTypeAny,
		Operation: kafka.ACLOperationAny, PermissionType: kafka.ACLPermissionTypeAny,
	}, kafka.SetAdminRequestTimeout(kafkax.ChangeTimeout))
	if err != nil {
		return nil, c.config.Explained(ctx, fmt.Errorf("reading the access list: %w", err))
	}
	if found.Error.Code() != kafka.ErrNoError {
		return nil, fmt.Errorf("reading the access list: %w", found.Error)
	}
	return found.ACLBindings, nil
}

// explainAccess adds the fix to the brokers' refusal.
func explainAccess(err error) error {
	var ke kafka.Error
	if errors.As(err, &ke) {
		switch ke.Code() {
		case kafka.ErrSecurityDisabled:
			return fmt.Errorf("ACLS: %w (the brokers have no authorizer: set authorizer.class.name, or leave ACLS empty)", err)
		case kafka.ErrClusterAuthorizationFailed:
			return fmt.Errorf("ACLS: %w (to change the access list, the user must be a super user of the brokers, or have Describe and Alter on the cluster)", err)
		}
	}
	return fmt.Errorf("ACLS: %w", err)
}
