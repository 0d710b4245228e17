package event

import (
	"github.com/bojanz/currency"
	withdrawn "golang.org/x/text/currency"
)

// IsCurrency reports whether code is the ISO 4217 code, in capital letters, of a
// currency in use. Withdrawn currencies, precious metals, and the codes for
// testing (XTS) and for "no currency" (XXX) are not.
func IsCurrency(code string) bool {
	_, ok := currency.GetDigits(code)
	return ok
}

// MinorDigits returns how many digits the currency has after the point
// (ISO 4217); 2 for withdrawn ones.
func MinorDigits(code string) int {
	if digits, ok := currency.GetDigits(code); ok {
		return int(digits)
	}
	return 2
}

// currency reads an event's currency. A topic may keep events for longer than a
// currency is in use, so withdrawn currencies are accepted too.
func (f *fields) currency() string {
	code := f.text("currency", 3)
	if !IsCurrency(code) && !wasCurrency(code) {
		f.fault("currency", "must be an ISO 4217 code in capital letters, such as USD")
	}
	return code
}

// wasCurrency reports whether code is on x/text's list, which keeps withdrawn
// currencies. The list is of 2017, so currencies withdrawn since are on it too.
func wasCurrency(code string) bool {
	unit, err := withdrawn.ParseISO(code)
	return err == nil && unit.String() == code && unit != withdrawn.XXX && unit != withdrawn.XTS
}
