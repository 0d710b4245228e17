package database

import (
	"regexp"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// page is the one kind of find that is answered from an index: the documents in which a
// field equals a string, sorted by descending number and then by descending _id,
// optionally after a given position.
type page struct {
	database, collection string
	field, value         string
	by                   string // the field to sort by
	after                *position
	limit                int64
}

type position struct {
	number float64
	id     string
}

// mostIDs is below SQLite's limit of parameters.
const mostIDs = 30_000

// plain matches names that are safe to use in SQL.
var plain = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,63}$`)

// findCommand is a find with the members that are understood here. Those of type any don't
// change the answer.
type findCommand struct {
	Find       string `bson:"find"`
	Filter     bson.D `bson:"filter"`
	Sort       bson.D `bson:"sort"`
	Projection bson.D `bson:"projection"`
	Limit      int64  `bson:"limit"`
	BatchSize  int64  `bson:"batchSize"`
	Single     bool   `bson:"singleBatch"`
	DB         string `bson:"$db"`
	Session    any    `bson:"lsid"`
	Preference any    `bson:"$readPreference"`
	Clock      any    `bson:"$clusterTime"`
	MaxTime    any    `bson:"maxTimeMS"`
	Rest       bson.M `bson:",inline"`
}

// parseFind returns false for another command, and for a find with other members.
func parseFind(command bson.Raw) (findCommand, bool) {
	var c findCommand
	if first, err := command.IndexErr(0); err != nil || first.Key() != "find" {
		return c, false
	}
	err := bson.Unmarshal(command, &c)
	return c, err == nil && len(c.Rest) == 0
}

// parsePage parses a command. It returns false if the command asks for something else.
//
//	{find: c, filter: {field: "value"}, sort: {by: -1, _id: -1}, limit: n, $db: d}
//
// and, for the next pages,
//
//	filter: {field: "value", by: {$lte: x}, $or: [{by: {$lt: x}}, {_id: {$lt: id}}]}
func parsePage(command bson.Raw) (page, bool) {
	c, ok := parseFind(command)
	if !ok || len(c.Projection) > 0 || c.Single {
		return page{}, false
	}
	if c.Limit < 1 || c.BatchSize < c.Limit || len(c.Sort) != 2 || len(c.Filter) == 0 ||
		!isDescending(c.Sort[0]) || !isDescending(c.Sort[1]) || c.Sort[1].Key != "_id" {
		return page{}, false
	}
	p := page{database: c.DB, collection: c.Find, field: c.Filter[0].Key, by: c.Sort[0].Key, limit: c.Limit}
	value, isString := c.Filter[0].Value.(string)
	p.value = value
	ok = isString && plain.MatchString(p.database) && plain.MatchString(p.field) && plain.MatchString(p.by)
	switch {
	case ok && len(c.Filter) == 1:
		return p, true
	case ok && len(c.Filter) == 3:
		p.after = parseAfter(p.by, c.Filter[1:])
		return p, p.after != nil
	}
	return page{}, false
}

// lookup is a find for documents by their _id, which must be strings. It may ask for some
// of their fields only.
type lookup struct {
	database, collection string
	ids, fields          []string
}

// parseLookup parses a command. It returns false if the command asks for something else.
//
//	{find: c, filter: {_id: "x"}, $db: d}
//	{find: c, filter: {_id: {$in: ["x", "y"]}}, projection: {field: 1}, $db: d}
func parseLookup(command bson.Raw) (lookup, bool) {
	c, ok := parseFind(command)
	if !ok || len(c.Sort) > 0 || !plain.MatchString(c.DB) {
		return lookup{}, false
	}
	l := lookup{database: c.DB, collection: c.Find}
	switch asked := only(c.Filter, "_id").(type) {
	case string:
		l.ids = []string{asked}
	case bson.D:
		several, _ := only(asked, "$in").(bson.A)
		for _, id := range several {
			text, ok := id.(string)
			if !ok {
				return lookup{}, false
			}
			l.ids = append(l.ids, text)
		}
	}
	for _, field := range c.Projection {
		if field.Value != int32(1) {
			return lookup{}, false
		}
		l.fields = append(l.fields, field.Key)
	}
	n := int64(len(l.ids))
	cut := c.Limit != 0 && c.Limit < n || c.BatchSize != 0 && c.BatchSize < n
	return l, 0 < n && n <= mostIDs && !cut
}

func isDescending(e bson.E) bool {
	return e.Value == int32(-1) || e.Value == int64(-1) || e.Value == -1.0
}

// parseAfter returns the position in {by: {$lte: x}, $or: [{by: {$lt: x}}, {_id: {$lt: id}}]},
// or nil if the filter has another form.
func parseAfter(by string, filter bson.D) *position {
	upTo, _ := only(filter[:1], by).(bson.D)
	number, isNumber := only(upTo, "$lte").(float64)
	either, _ := only(filter[1:], "$or").(bson.A)
	if !isNumber || len(either) != 2 {
		return nil
	}
	before, _ := either[0].(bson.D)
	below, _ := only(before, by).(bson.D)
	tied, _ := either[1].(bson.D)
	id, _ := only(tied, "_id").(bson.D)
	last, isString := only(id, "$lt").(string)
	if only(below, "$lt") != number || !isString {
		return nil
	}
	return &position{number: number, id: last}
}

// only returns the value of a document that has no other key, or nil.
func only(d bson.D, key string) any {
	if len(d) != 1 || d[0].Key != key {
		return nil
	}
	return d[0].Value
}
