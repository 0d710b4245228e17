package event

import (
	"encoding/json"
	"strconv"
)

// Encode returns the record value. Encoding/json finds the fields by reflection, and reads what MarshalJSON has written once
// more: for an order that was a tenth of the producer's CPU. So the usual texts are written here, and it writes all others;
// FuzzEncodesAsEncodingJSON compares the two.
func (p Purchase) Encode() ([]byte, error) {
	if !isPlain(p.Username) || !isPlain(p.UserID) || !isPlain(p.EventID) || !isPlain(p.Currency) || !isPlain(p.Product) || !p.Price.finite() {
		return json.Marshal(p)
	}
	b := make([]byte, 0, 200+len(p.Username)+len(p.UserID)+len(p.EventID)+len(p.Product))
	b = appendText(append(b, `{"username":`...), p.Username)
	b = appendText(append(b, `,"userid":`...), p.UserID)
	b = p.Price.append(append(b, `,"price":`...))
	b = p.Timestamp.append(append(b, `,"timestamp":`...))
	b = appendText(append(b, `,"eventId":`...), p.EventID)
	b = strconv.AppendInt(append(b, `,"schemaVersion":`...), int64(p.SchemaVersion), 10)
	b = strconv.AppendInt(append(b, `,"priceMinor":`...), p.PriceMinor, 10)
	b = appendText(append(b, `,"currency":`...), p.Currency)
	if p.Product != "" {
		b = appendText(append(b, `,"product":`...), p.Product)
	}
	return append(b, '}'), nil
}

// Encode returns the body of the answer, as Purchase.Encode does.
func (a Acceptance) Encode() ([]byte, error) {
	d := a.Data
	if !isPlain(d.Username) || !isPlain(d.UserID) || !isPlain(d.EventID) || !isPlain(d.Product) || !d.Price.finite() {
		return json.Marshal(a)
	}
	b := make([]byte, 0, 250+len(d.Username)+len(d.UserID)+len(d.EventID)+len(d.Product))
	b = appendText(append(b, `{"data":{"username":`...), d.Username)
	b = appendText(append(b, `,"userid":`...), d.UserID)
	b = d.Price.append(append(b, `,"price":`...))
	b = d.Timestamp.append(append(b, `,"timestamp":`...))
	b = appendText(append(b, `,"eventId":`...), d.EventID)
	b = strconv.AppendInt(append(b, `,"partition":`...), int64(d.Partition), 10)
	b = strconv.AppendInt(append(b, `,"offset":`...), d.Offset, 10)
	if d.Product != "" {
		b = appendText(append(b, `,"product":`...), d.Product)
	}
	b = appendText(append(b, `},"message":`...), a.Message)
	b = appendText(append(b, `,"status":`...), a.Status)
	return append(b, '}'), nil
}

// Encode returns the record value, as Purchase.Encode does.
func (o Order) Encode() ([]byte, error) {
	if !isPlain(o.Product) || !isPlain(o.EventID) {
		return json.Marshal(o)
	}
	b := make([]byte, 0, 100+len(o.Product)+len(o.EventID))
	b = strconv.AppendInt(append(b, `{"id":`...), o.ID, 10)
	b = appendText(append(b, `,"product":`...), o.Product)
	b = strconv.AppendInt(append(b, `,"quantity":`...), o.Quantity, 10)
	b = appendText(append(b, `,"eventId":`...), o.EventID)
	b = strconv.AppendInt(append(b, `,"schemaVersion":`...), int64(o.SchemaVersion), 10)
	return append(b, '}'), nil
}

// isPlain reports whether encoding/json writes a text as it is, between quotes.
func isPlain(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

// appendText appends a plain text.
func appendText(b []byte, text string) []byte {
	return append(append(append(b, '"'), text...), '"')
}
