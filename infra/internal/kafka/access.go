package kafka

// Grant allows a user some operations on a resource: one line of the access list.
type Grant struct {
	User       string   `json:"-"`
	Operations []string `json:"operations"`

	// Exactly one of these is set. "*" means every topic or group.
	Topic           string `json:"topic,omitempty"`
	Group           string `json:"group,omitempty"`
	TransactionalID string `json:"transactionalId,omitempty"`
	Cluster         bool   `json:"cluster,omitempty"`

	// Prefixed means that the name is a prefix.
	Prefixed bool `json:"prefixed,omitempty"`
}

// Access is everything that a user may do, in the form that the topics Job reads.
type Access struct {
	User   string  `json:"user"`
	Grants []Grant `json:"grants"`
}

// everyone is the wildcard principal. It is listed without grants, so that the Job revokes grants that were made by hand.
const everyone = "*"

// accessList groups grants by user.
func accessList(users []string, grants []Grant) []Access {
	var list []Access
	for _, user := range append(users[:len(users):len(users)], everyone) {
		access := Access{User: user, Grants: []Grant{}}
		for _, g := range grants {
			if g.User == user {
				access.Grants = append(access.Grants, g)
			}
		}
		list = append(list, access)
	}
	return list
}
