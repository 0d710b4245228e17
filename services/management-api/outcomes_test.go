package main

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"
)

// What a real server may answer to one unordered insert of four purchases. The embedded
// database doesn't produce all of these answers.
func TestOutcomesOfAnInsert(t *testing.T) {
	const stored, duplicate, refused, again = "stored", "duplicate", "refused", "again"
	writeError := func(index, code int) mongo.BulkWriteError {
		return mongo.BulkWriteError{WriteError: mongo.WriteError{Index: index, Code: code, Message: "because"}}
	}
	clash := func(index int, name string) mongo.BulkWriteError {
		e := writeError(index, 11000)
		e.Message = "E11000 duplicate key error collection: shopping.purchases index: " + name + " dup key: { x: 1 }"
		return e
	}
	tests := map[string]struct {
		err       error
		want      [4]string
		transient bool
	}{
		"all stored":                {nil, [4]string{stored, stored, stored, stored}, false},
		"the connection broke":      {mongo.CommandError{Labels: []string{"NetworkError"}, Message: "reset"}, [4]string{again, again, again, again}, true},
		"not primary":               {mongo.CommandError{Code: 10107}, [4]string{again, again, again, again}, true},
		"no permission":             {mongo.CommandError{Code: 13}, [4]string{again, again, again, again}, true},
		"some stored before":        {mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{writeError(0, 11000), writeError(3, 11000)}}, [4]string{duplicate, stored, stored, duplicate}, false},
		"one fails validation":      {mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{writeError(1, 121)}}, [4]string{stored, refused, stored, stored}, false},
		"one met a conflict":        {mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{writeError(2, 112), writeError(3, 11000)}}, [4]string{stored, stored, again, duplicate}, true},
		"a clash in the id's index": {mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{clash(1, "_id_")}}, [4]string{stored, duplicate, stored, stored}, false},
		"a clash in another index":  {mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{clash(1, "userid_1")}}, [4]string{stored, refused, stored, stored}, false},
		"an unknown code":           {mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{writeError(2, 987654)}}, [4]string{stored, stored, again, stored}, true},
		"no majority":               {mongo.BulkWriteException{WriteConcernError: &mongo.WriteConcernError{Code: 64}}, [4]string{again, again, again, again}, true},
		"no majority, and more":     {mongo.BulkWriteException{WriteConcernError: &mongo.WriteConcernError{Code: 91}, WriteErrors: []mongo.BulkWriteError{writeError(0, 11000), writeError(1, 121)}}, [4]string{again, refused, again, again}, true},
		"an answer that's wrong":    {mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{writeError(4, 11000)}}, [4]string{again, again, again, again}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			outcomes, err := outcomesOf(4, tt.err)
			for i, o := range outcomes {
				got := again
				switch {
				case o.refused != nil:
					got = refused
				case o.stored:
					got = stored
				case o.duplicate:
					got = duplicate
				}
				if got != tt.want[i] {
					t.Errorf("number %d is %s, want %s", i, got, tt.want[i])
				}
			}
			if (err != nil) != tt.transient {
				t.Errorf("err = %v", err)
			}
		})
	}
}
