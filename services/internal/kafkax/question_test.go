package kafkax

import (
	"log/slog"
	"testing"
)

// Only the first batch of a response comes whole: an idle partition with a lower number
// must not prevent that.
func TestWhatComesAloneIsAskedForBeforeIdlePartitions(t *testing.T) {
	r, err := NewReader(Config{BootstrapServers: "127.0.0.1:1", SecurityProtocol: "plaintext"}, ReaderConfig{Topic: "t"}, "test", slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.client.Close()
	r.Assign(map[int32]Position{0: {Offset: 5}, 1: {Offset: 7}})
	for _, p := range r.partitions {
		p.leader, p.checked = 0, true
	}
	r.partitions[1].alone, r.partitions[1].want = true, 20<<20
	q, asked, _ := r.question(0)
	if len(asked) != 1 || q.Topics[0].Partitions[0].Partition != 1 || q.MaxBytes != 20<<20 {
		t.Errorf("it asks for %v, %d bytes", q.Topics[0].Partitions, q.MaxBytes)
	}
}
