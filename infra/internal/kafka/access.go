package kafka

// Grant lets a user do some operations on what has a name: one line of the access list.
type Grant struct {
	User       string   `json:"-"`
	Operations []string `json:"operations"`

	// Exactly one of these is set. "*" is every topic or group.
	Topic           string `json:"topic,omitempty"`
	Group           string `json:"group,omitempty"`
	TransactionalID string `json:"transactionalId,omitempty"`
	Cluster         bool   `json:"cluster,omitempty"`

	// Prefixed makes the name the beginning of one.
	Prefixed bool `json:"prefixed,omitempty"`
}

// Access is everything that a user may do, as the Job that makes it so reads it.
type Access struct {
	User   string  `json:"user"`
	Grants []Grant `json:"grants"`
}

// everyone is what the brokers call all users together. Nothing is granted to it, so whatever somebody grants to it by
// hand goes with the next run.
const everyone = "*"

// accessList sorts grants by user.
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
