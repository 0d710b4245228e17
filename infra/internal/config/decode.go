package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// decode reads JSON into target, which contains the defaults, and returns every fault in it. encoding/json would stop at
// the first one, and doesn't say where an unknown key is. A key without a value, which is null, keeps its default, and so
// does one with a fault.
func decode(path string, data json.RawMessage, target reflect.Value) []error {
	if isNull(data) {
		return nil
	}
	if target.Kind() == reflect.Struct && target.Type() != reflect.TypeFor[resource.Quantity]() {
		return decodeStruct(path, data, target)
	}
	// Not into target itself: elements of a list would keep the default's values where the new ones are null.
	read := reflect.New(target.Type())
	if err := json.Unmarshal(data, read.Interface()); err != nil {
		return []error{explain(path, data, target.Type(), err)}
	}
	if faults := withoutValue(path, data, target.Type()); len(faults) > 0 {
		return faults
	}
	target.Set(read.Elem())
	if target.Kind() == reflect.Map {
		if _, repeated, err := members(data); err == nil {
			return setTwice(path, repeated)
		}
	}
	return nil
}

func isNull(data json.RawMessage) bool { return strings.TrimSpace(string(data)) == "null" }

// explain says what a value of a type looks like.
func explain(path string, data json.RawMessage, of reflect.Type, err error) error {
	switch KindName(of) {
	case "duration":
		return fmt.Errorf("%s: %w", path, err) // says it itself
	case "quantity":
		return fmt.Errorf("%s: %s is not a quantity: write it like 250m of CPUs, or 512Mi of bytes", path, data)
	}
	return fmt.Errorf("%s: %s is not of type %s", path, data, KindName(of))
}

// withoutValue returns a fault for each null in a list or in an object with texts, which encoding/json would read as an
// empty text or 0.
func withoutValue(path string, data json.RawMessage, of reflect.Type) (faults []error) {
	switch {
	case of.Kind() == reflect.Slice:
		var entries []json.RawMessage
		_ = json.Unmarshal(data, &entries) // it was read before
		if slices.ContainsFunc(entries, isNull) {
			faults = append(faults, fmt.Errorf("%s: has an entry without a value: write one, or remove the entry", path))
		}
	case of.Kind() == reflect.Map && of.Elem().Kind() == reflect.String:
		entries, _, _ := members(data)
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			if isNull(entries[key]) {
				faults = append(faults, fmt.Errorf("%s.%s: has no value: write one in quotes, or remove the key", path, key))
			}
		}
	}
	return faults
}

func setTwice(path string, keys []string) (faults []error) {
	for _, key := range keys {
		faults = append(faults, fmt.Errorf("%s.%s: it is set more than once; set it once", path, key))
	}
	return faults
}

func decodeStruct(path string, data json.RawMessage, target reflect.Value) []error {
	values, repeated, err := members(data)
	if err != nil {
		return []error{fmt.Errorf("%s: %s is not an object", path, data)}
	}
	fields := fieldsByKey(target)
	faults := setTwice(path, repeated)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		field, ok := fields[key]
		if !ok {
			faults = append(faults, fmt.Errorf("%s.%s: there is no such key; there are %s",
				path, key, strings.Join(slices.Sorted(maps.Keys(fields)), ", ")))
			continue
		}
		faults = append(faults, decode(path+"."+key, values[key], field)...)
	}
	return faults
}

// members returns the values of a JSON object, and the keys that it has more than once, of which encoding/json would keep the
// last.
func members(data json.RawMessage) (values map[string]json.RawMessage, repeated []string, err error) {
	if err := json.Unmarshal(data, &values); err != nil || values == nil {
		return nil, nil, err
	}
	object := json.NewDecoder(strings.NewReader(string(data)))
	seen := map[json.Token]bool{}
	for _, err = object.Token(); err == nil && object.More(); {
		var key json.Token
		if key, err = object.Token(); err != nil {
			break
		}
		if seen[key] && !slices.Contains(repeated, key.(string)) {
			repeated = append(repeated, key.(string))
		}
		seen[key] = true
		var skipped json.RawMessage
		err = object.Decode(&skipped)
	}
	return values, repeated, err
}

// fieldsByKey returns the fields of a struct by their names in JSON.
func fieldsByKey(v reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		fields[v.Type().Field(i).Tag.Get("json")] = v.Field(i)
	}
	return fields
}

// fieldOf returns the type of a struct's field by its name in JSON; nil if there is none.
func fieldOf(of reflect.Type, key string) reflect.Type {
	if of.Kind() == reflect.Struct {
		for field := range of.Fields() {
			if field.Tag.Get("json") == key {
				return field.Type
			}
		}
	}
	return nil
}

// KindName returns the name of a type in messages and on the page of the configuration.
func KindName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[Duration]():
		return "duration"
	case t.Name() == "Quantity":
		return "quantity"
	case t.Kind() == reflect.Int:
		return "number"
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Slice:
		return "list of " + KindName(t.Elem()) + "s"
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.String:
		return "object with texts in quotes"
	default:
		return "object"
	}
}
