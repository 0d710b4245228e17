package event

// Acceptance is the answer to a buy. It is here because it is encoded as its purchase is.
type Acceptance struct {
	Data    Recorded `json:"data"`
	Message string   `json:"message"`
	Status  string   `json:"status"`
}

// Recorded is the data in the answer to a buy: the original's four fields, the
// event id, the position of the record, and the product if the request has one.
type Recorded struct {
	Username  string `json:"username"`
	UserID    string `json:"userid"`
	Price     Price  `json:"price"`
	Timestamp Time   `json:"timestamp"`
	EventID   string `json:"eventId"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Product   string `json:"product,omitempty"`
}

// NewAcceptance says that a purchase is on its topic, and where.
func NewAcceptance(p Purchase, partition int32, offset int64) Acceptance {
	return Acceptance{
		Data:    Recorded{p.Username, p.UserID, p.Price, p.Timestamp, p.EventID, partition, offset, p.Product},
		Message: "Purchase recorded",
		Status:  "success",
	}
}
