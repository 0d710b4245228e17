package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// decode reads JSON into target, which contains the defaults, and returns every fault in it. encoding/json would stop at
// the first one, and doesn't say where an unknown key is.
func decode(path string, data json.RawMessage, target reflect.Value) []error {
	if u, ok := target.Addr().Interface().(json.Unmarshaler); ok {
		if err := u.UnmarshalJSON(data); err != nil {
			return []error{fmt.Errorf("%s: %w", path, err)}
		}
		return nil
	}
	if target.Kind() == reflect.Struct {
		return decodeStruct(path, data, target)
	}
	if err := json.Unmarshal(data, target.Addr().Interface()); err != nil {
		return []error{fmt.Errorf("%s: %s is not of type %s", path, data, KindName(target.Type()))}
	}
	if target.Kind() == reflect.Map {
		if _, repeated, err := members(data); err == nil {
			return setTwice(path, repeated)
		}
	}
	return nil
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
