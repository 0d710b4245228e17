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
	return nil
}

func decodeStruct(path string, data json.RawMessage, target reflect.Value) []error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(data, &values); err != nil {
		return []error{fmt.Errorf("%s: %s is not an object", path, data)}
	}
	fields := fieldsByKey(target)
	var faults []error
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
