package main

import (
	"strings"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func TestAccessFaultsAreAllNamed(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"not JSON":      {`shop:write`, []string{"not a JSON list of users"}},
		"empty":         {`[]`, []string{"lists no user"}},
		"null":          {`null`, []string{"lists no user"}},
		"a number":      {`[7]`, []string{"entry 1: must be a JSON object, not 7"}},
		"nothing given": {`[{}]`, []string{"entry 1: user is required", "entry 1: grants is required"}},
		"unknown field": {`[{"user":"a","grants":[],"group":"b"}]`, []string{`user "a": unknown field "group"`}},
		"bad names":     {`[{"user":"User:a","grants":[]},{"user":"","grants":[]}]`, []string{`user "User:a" must be a username`, `user "" must be a username`}},
		"null grants":   {`[{"user":"a","grants":null}]`, []string{`user "a": grants must be a list, empty for none, not null`}},
		"user twice":    {`[{"user":"a","grants":[]},{"user":"a","grants":[]}]`, []string{`user "a": is listed twice`}},
		"no resource":   {`[{"user":"a","grants":[{"operations":["Read"]}]}]`, []string{`user "a": grant 1: names 0 resources`}},
		"two resources": {`[{"user":"a","grants":[{"topic":"t","group":"g","operations":["Read"]}]}]`, []string{"grant 1: names 2 resources"}},
		"no operations": {`[{"user":"a","grants":[{"topic":"t"},{"topic":"t","operations":[]}]}]`, []string{"grant 1: operations is required", "grant 2: operations must be a list of at least one"}},
		"wrong operations": {`[{"user":"a","grants":[{"topic":"t","operations":["read"]},{"group":"g","operations":["Write"]},{"transactionalId":"x","operations":["Read"]},{"cluster":true,"operations":["Read"]}]}]`,
			[]string{`grant 1: operation "read" does not exist for this resource: use one of All, Alter`, `grant 2: operation "Write"`, `grant 3: operation "Read"`, `grant 4: operation "Read"`}},
		"wrong values": {`[{"user":"a","grants":[{"topic":7,"operations":["Read"]},{"cluster":false,"operations":["Describe"]},{"topic":"t","prefixed":"yes","operations":["Read"]},{"Topic":"t","operations":["Read"]}]}]`,
			[]string{"grant 1: topic must be a name", "grant 2: cluster must be true", "grant 3: prefixed must be true or false", `grant 4: unknown field "Topic"`}},
		"a prefix of all": {`[{"user":"a","grants":[{"topic":"*","prefixed":true,"operations":["Read"]}]}]`, []string{`prefixed needs the beginning of a name, not "*"`}},
		"no grant at all": {`[{"user":"a","grants":[]}]`, []string{"grants nothing to any user"}},
		"granted twice":   {`[{"user":"a","grants":[{"topic":"t","operations":["Read"]},{"topic":"t","operations":["Write","Read"]}]}]`, []string{`grant 2: an operation on "t" is granted twice`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parseAccess(tt.text)
			if err == nil {
				t.Fatal("no fault found")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestNoAccessListIsNone(t *testing.T) {
	for _, text := range []string{"", "  "} {
		if users, err := parseAccess(text); err != nil || users != nil {
			t.Errorf("parseAccess(%q) = %v, %v", text, users, err)
		}
	}
}

func TestOnlyListedUsersLoseWhatIsNotDeclared(t *testing.T) {
	orders := resource{kafka.ResourceTopic, "orders", kafka.ResourcePatternTypeLiteral}
	read, write := binding("consumer", orders, kafka.ACLOperationRead), binding("consumer", orders, kafka.ACLOperationWrite)
	refusal := read
	refusal.PermissionType = kafka.ACLPermissionTypeDeny
	elsewhere := read
	elsewhere.Host = "10.0.0.1"
	foreign := binding("somebody", orders, kafka.ACLOperationAll)
	open := binding(everyone, orders, kafka.ACLOperationAll)
	now := []kafka.ACLBinding{write, refusal, elsewhere, foreign, open}

	missing, surplus := difference([]user{{"consumer", []kafka.ACLBinding{read}}}, now)
	if len(missing) != 1 || missing[0] != read {
		t.Errorf("missing = %v", missing)
	}
	if len(surplus) != 3 || surplus[0] != write || surplus[1] != refusal || surplus[2] != elsewhere {
		t.Errorf("surplus = %v", surplus)
	}
	// What everyone may do, listed users may do as well: only a list that names everyone revokes it.
	if _, surplus = difference([]user{{everyone, nil}}, now); len(surplus) != 1 || surplus[0] != open {
		t.Errorf("surplus = %v", surplus)
	}
}
