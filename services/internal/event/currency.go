package event

import (
	"github.com/bojanz/currency"
	withdrawn "golang.org/x/text/currency"
)

// IsCurrency reports whether code is a currency of ISO 4217 in which something
// can be sold today: in capital letters, not withdrawn, no metal, none of the
// codes for testing (XTS) and for no currency (XXX).
func IsCurrency(code string) bool {
	_, ok := currency.GetDigits(code)
	return ok
}

// MinorDigits returns how many digits the currency has after the point
// (ISO 4217); 2 for those that were withdrawn.
func MinorDigits(code string) int {
	if digits, ok := currency.GetDigits(code); ok {
		return int(digits)
	}
	return 2
}

// currency reads an event's currency. Topics keep events for longer than
// currencies last: what was one once is taken too.
func (f *fields) currency() string {
	code := f.text("currency", 3)
	if !IsCurrency(code) && !wasCurrency(code) {
		f.fault("currency", "must be an ISO 4217 code in capital letters, such as USD")
	}
	return code
}

// wasCurrency reports whether code is on a list that keeps what was withdrawn
// from ISO 4217. It ends in 2017; what was withdrawn since is on it, as in use.
func wasCurrency(code string) bool {
	unit, err := withdrawn.ParseISO(code)
	return err == nil && unit.String() == code && unit != withdrawn.XXX && unit != withdrawn.XTS
}
