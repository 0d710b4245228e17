// Package envconf loads a service's typed configuration from its environment
// and describes it for the generated documentation.
//
// A configuration is a struct whose fields carry `env`, `envDefault` and `doc`
// tags; shared parts (Kafka, HTTP) are nested structs. Every fault is
// reported at once, each with the variable's name, so that a broken deployment
// can be fixed in one go.
package envconf

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Secret is a configuration value that must not be printed.
type Secret string

// String hides the value from fmt and slog.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "********"
}

// GoString hides the value from %#v too.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText hides the value from JSON logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the value itself, for the client that needs it.
func (s Secret) Reveal() string { return string(s) }

// Validator is implemented by configurations with rules that tags can't express.
// Several faults are joined with errors.Join.
type Validator interface{ Validate() error }

// Load reads T from environ ("KEY=value" entries, as os.Environ gives them).
// The error lists every missing, empty, malformed or inconsistent variable,
// one a line.
func Load[T any](environ []string) (T, error) {
	var cfg T
	vars := env.ToMap(environ)
	fields := Describe[T]()

	var faults []error
	for _, f := range fields {
		// An empty value, often a templating mistake in a manifest, must not
		// silently become the default.
		if value, set := vars[f.Name]; set && value == "" && !f.Secret && f.Default != "" {
			faults = append(faults, fmt.Errorf("%s is set but empty: remove it to use the default %q, or give a value", f.Name, f.Default))
		}
	}
	if err := env.ParseWithOptions(&cfg, env.Options{Environment: vars}); err != nil {
		faults = append(faults, translate(err, fields)...)
	}
	faults = append(faults, rulesBroken(cfg, faults, fields)...)
	if len(faults) > 0 {
		return cfg, fmt.Errorf("invalid configuration:\n%w", indent(errors.Join(faults...)))
	}
	return cfg, nil
}

// translate replaces the struct field in the library's errors by the variable.
func translate(err error, fields []Field) []error {
	aggregate := env.AggregateError{}
	if !errors.As(err, &aggregate) {
		return []error{err}
	}
	var faults []error
	for _, e := range aggregate.Errors {
		var (
			parse   env.ParseError
			missing env.VarIsNotSetError
			empty   env.EmptyVarError
		)
		switch {
		case errors.As(e, &parse):
			faults = append(faults, fmt.Errorf("%s must be a %s: %w", nameOf(parse.Name, fields), kindOf(parse.Type), parse.Err))
		case errors.As(e, &missing):
			faults = append(faults, fmt.Errorf("%s is required: %s", missing.Key, docOf(missing.Key, fields)))
		case errors.As(e, &empty):
			faults = append(faults, fmt.Errorf("%s must not be empty: %s", empty.Key, docOf(empty.Key, fields)))
		default:
			faults = append(faults, e)
		}
	}
	return faults
}

// rulesBroken returns the faults that Validate finds, so that they are reported
// together with the others. It leaves out those about a variable that could not be
// parsed, since Validate saw a zero value in its place.
func rulesBroken(cfg any, unread []error, fields []Field) []error {
	var broken []error
	for _, fault := range flatten(validate(reflect.ValueOf(cfg))) {
		about := func(f Field) bool { return mentions(fault, f.Name) }
		if !slices.ContainsFunc(fields, func(f Field) bool {
			return about(f) && slices.ContainsFunc(unread, func(u error) bool { return mentions(u, f.Name) })
		}) {
			broken = append(broken, fault)
		}
	}
	return broken
}

// mentions reports whether the fault's text contains the variable's name.
func mentions(fault error, variable string) bool {
	return slices.Contains(strings.FieldsFunc(fault.Error(), func(r rune) bool {
		return r != '_' && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}), variable)
}

// flatten returns the individual errors of joined ones.
func flatten(errs []error) []error {
	var flat []error
	for _, err := range errs {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			flat = append(flat, flatten(joined.Unwrap())...)
			continue
		}
		flat = append(flat, err)
	}
	return flat
}

// validate calls Validate of every part of the configuration and then of the
// whole, so that all faults appear together.
func validate(v reflect.Value) []error {
	var faults []error
	for i := range v.NumField() {
		if field := v.Field(i); field.Kind() == reflect.Struct && field.CanInterface() {
			faults = append(faults, validate(field)...)
		}
	}
	if c, ok := v.Interface().(Validator); ok {
		if err := c.Validate(); err != nil {
			faults = append(faults, err)
		}
	}
	return faults
}

func indent(err error) error {
	return errors.New("  " + strings.ReplaceAll(err.Error(), "\n", "\n  "))
}
