package envconf

import (
	"encoding"
	"reflect"
	"strings"
	"time"
)

// Field describes one environment variable of a configuration, for the generated
// documentation and for the checks of the deployment.
type Field struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Default  string `json:"default,omitempty"`
	Required bool   `json:"required,omitempty"`
	Secret   bool   `json:"secret,omitempty"`
	Doc      string `json:"doc"`

	goName string
}

// Describe lists the variables that T reads, in the order of its fields.
func Describe[T any]() []Field {
	return describe(reflect.TypeFor[T]())
}

func describe(t reflect.Type) []Field {
	var fields []Field
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("env")
		if !tagged {
			if f.Type.Kind() == reflect.Struct {
				fields = append(fields, describe(f.Type)...)
			}
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		fields = append(fields, Field{
			Name:     name,
			Type:     kindOf(f.Type),
			Default:  f.Tag.Get("envDefault"),
			Required: strings.Contains(options, "required") || strings.Contains(options, "notEmpty"),
			Secret:   f.Type == reflect.TypeFor[Secret](),
			Doc:      f.Tag.Get("doc"),
			goName:   f.Name,
		})
	}
	return fields
}

// kindOf names a type as a reader of the documentation would.
func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return "string" // such as a log level or an address
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "whole number"
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		return "number"
	case t.Kind() == reflect.Slice:
		return "comma-separated list"
	}
	return "string"
}

// nameOf returns the variable of a struct field. The library reports faults by
// field name, so all field names of a configuration must differ.
func nameOf(goName string, fields []Field) string {
	for _, f := range fields {
		if f.goName == goName {
			return f.Name
		}
	}
	return goName
}

func docOf(name string, fields []Field) string {
	for _, f := range fields {
		if f.Name == name {
			return f.Doc
		}
	}
	return ""
}
