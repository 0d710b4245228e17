package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/event"
)

// replay runs replay-dlq and returns the letters it printed and its summary.
func (p *platform) replay(t *testing.T, args ...string) ([]line, string, error) {
	t.Helper()
	var stdout bytes.Buffer
	var stderr lockedBuffer // the summary and the client's own log lines
	err := replayDLQ(t.Context(), args, p.environ(), &stdout, &stderr)
	var printed []line
	for text := range strings.Lines(stdout.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("stdout has %q: %v", text, err)
		}
		printed = append(printed, l)
	}
	summary := ""
	for text := range strings.Lines(stderr.String()) {
		if strings.HasPrefix(text, "replay-dlq: ") {
			summary = strings.TrimSpace(text)
		}
	}
	t.Logf("replay-dlq %q: %s (%v)", args, summary, err)
	return printed, summary, err
}

type lockedBuffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

// letter is a dead letter as the consumer makes it, of a record at an offset of
// partition 0.
func (p *platform) letter(value string, offset int64, key string) *kgo.Record {
	return &kgo.Record{Topic: p.dlq, Key: []byte(key), Value: []byte(value), Headers: []kgo.RecordHeader{
		{Key: "traceparent", Value: []byte("00-1-2-01")},
		{Key: "dlq-reason", Value: []byte("invalid")}, {Key: "dlq-error", Value: []byte("was refused")},
		{Key: "dlq-topic", Value: []byte(p.topic)}, {Key: "dlq-partition", Value: []byte("0")}, {Key: "dlq-offset", Value: fmt.Append(nil, offset)},
		{Key: "dlq-group", Value: []byte(p.group)}, {Key: "dlq-at", Value: []byte("2026-01-01T00:00:00Z")},
	}}
}

// oneDLQ gives the platform a dead letters' topic with one partition, so that the order is
// known.
func (p *platform) oneDLQ(t *testing.T) {
	t.Helper()
	p.dlq = p.kafka.Topic(t, "dlq", 1, nil)
}

// The replay group's name is fixed; each test has its own broker, or, on a shared one, its
// own topics.
func (p *platform) replayed(t *testing.T) int64 {
	t.Helper()
	committed, err := p.kafka.Admin().FetchOffsets(t.Context(), replayGroup)
	if err != nil {
		return -1
	}
	o, ok := committed.Lookup(p.dlq, 0)
	if !ok {
		return -1
	}
	return o.At
}

func TestReplay(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.oneDLQ(t)
	idless := `{"username":"ann","userid":"u1","price":12.5,"timestamp":1764000000.25}`
	src := event.Source{Topic: p.topic, Partition: 0, Offset: 77}
	good := uuid.NewString()
	mendable := uuid.NewString()
	valid := func(id string) string {
		return `{"username":"bob","userid":"u2","price":3,"timestamp":5,"eventId":"` + id + `"}`
	}
	broken := strings.Replace(valid(mendable), `"price":3`, `"price":"3"`, 1)
	p.kafka.Produce(t,
		p.letter(idless, 77, "u1"),
		p.letter(valid(good), 78, "u2"),
		p.letter("garbage \xff", 79, "k3"),
		p.letter(broken, 80, "u2"),
		p.letter(idless, 77, "u1"),                                        // a crash caused a second one
		&kgo.Record{Topic: p.dlq, Value: []byte(valid(uuid.NewString()))}, // without a source
	)
	s := start(t, p.environ())

	// A dry run prints and changes nothing.
	printed, summary, err := p.replay(t, "--dry-run")
	if err != nil || summary != "replay-dlq: 6 letters read, 3 would be put back, 3 left, 0 failed" {
		t.Errorf("dry run: %q, %v", summary, err)
	}
	if len(printed) != 6 || p.replayed(t) != -1 || len(p.kafka.Read(t, p.topic)) != 0 {
		t.Fatalf("%d letters printed, offset %d", len(printed), p.replayed(t))
	}
	first, third := printed[0], printed[2]
	if first.Partition != 0 || first.Offset != 0 || first.Reason != "invalid" || first.Error != "was refused" || *first.Source != (sourceLine{p.topic, 0, 77, ""}) ||
		*first.Key != "u1" || *first.Value != idless || first.ValueEncoding != "" || first.Now != "" {
		t.Errorf("first letter = %+v", first)
	}
	if third.ValueEncoding != "base64" || *third.Value != "Z2FyYmFnZSD/" || third.Now == "" {
		t.Errorf("third letter = %+v", third)
	}

	// What would be accepted now is put back; the rest is left.
	printed, summary, err = p.replay(t)
	if err != nil || summary != "replay-dlq: 6 letters read, 3 put back, 3 left, 0 failed" || len(printed) != 3 {
		t.Errorf("first run: %q, %v, %d printed", summary, err, len(printed))
	}
	if at := p.replayed(t); at != 2 {
		t.Errorf("offset %d, want 2: before the first letter left", at)
	}
	want := []string{event.IDOf(src), good}
	p.wantIDs(t, want)
	if got := s.list(t, "u1", 10); len(got) != 1 || got[0].PriceMinor != 1250 {
		t.Errorf("u1 has %+v", got)
	}
	for _, r := range p.kafka.Read(t, p.topic) {
		if header(r, "traceparent") != "00-1-2-01" || header(r, "dlq-topic") != p.topic || header(r, "dlq-reason") != "" || len(r.Headers) != 4 {
			t.Errorf("put back with %v", r.Headers)
		}
	}

	// A later run reads again what was left, with one of them corrected; the lines that
	// were not changed are not an error.
	mended := printed[1]
	text := valid(mendable)
	mended.Value = &text
	file := writeLines(t, mended, printed[0])
	printed, summary, err = p.replay(t, "--mended", file)
	if err != nil || summary != "replay-dlq: 4 letters read, 2 put back, 2 left, 0 failed" || len(printed) != 2 {
		t.Errorf("mended run: %q, %v, %d printed", summary, err, len(printed))
	}
	want = append(want, mendable)
	p.wantIDs(t, want)
	if at := p.replayed(t); at != 2 {
		t.Errorf("offset %d, want 2", at)
	}
	mine := slices.DeleteFunc(p.kafka.Read(t, p.topic), func(r *kgo.Record) bool { return string(r.Value) != text })
	if len(mine) != 1 || string(mine[0].Key) != "u2" || header(mine[0], "dlq-offset") != "80" {
		t.Errorf("the mended letter went back as %v", mine)
	}

	// With the garbage corrected too, only the letter without a source is left, and the
	// offset stops there.
	mended = printed[0]
	again := idless // it has no id: its source determines one
	mended.Value, mended.ValueEncoding = &again, ""
	if _, summary, err = p.replay(t, "--mended", writeLines(t, mended)); err != nil || !strings.Contains(summary, "2 left") {
		t.Errorf("last mending: %q, %v", summary, err) // the one corrected before is not, in this file
	}
	want = append(want, event.IDOf(event.Source{Topic: p.topic, Partition: 0, Offset: 79}))
	p.wantIDs(t, want)
	if at := p.replayed(t); at != 3 {
		t.Errorf("offset %d, want 3", at)
	}

	// From the beginning, everything is put back again, and nothing is stored twice.
	if _, summary, err = p.replay(t, "--from-beginning"); err != nil || summary != "replay-dlq: 6 letters read, 3 put back, 3 left, 0 failed" {
		t.Errorf("from the beginning: %q, %v", summary, err)
	}
	p.wantCommitted(t)
	p.wantIDs(t, want)
}

func (p *platform) wantIDs(t *testing.T, want []string) {
	t.Helper()
	p.wantCommitted(t)
	eventually(t, fmt.Sprintf("%d stored", len(want)), func() bool { return p.storedCount(t) >= len(want) })
	var got []string
	found, err := p.collection.Find(t.Context(), map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	var documents []document
	if err := found.All(t.Context(), &documents); err != nil {
		t.Fatal(err)
	}
	for _, d := range documents {
		got = append(got, d.ID)
	}
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
		t.Errorf("stored %v, want %v", got, want)
	}
}

func writeLines(t *testing.T, lines ...line) string {
	t.Helper()
	var data bytes.Buffer
	for _, l := range lines {
		if err := json.NewEncoder(&data).Encode(l); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "mended.jsonl")
	if err := os.WriteFile(file, data.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// --all puts back even what is refused again. The new letter names the record's original
// source, so that an event without an id never becomes two.
func TestReplayAllKeepsTheSource(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.oneDLQ(t)
	p.kafka.Produce(t, p.letter(`{"username":"ann","userid":"u1","price":"12.5","timestamp":1}`, 77, "u1"))
	start(t, p.environ())
	if _, summary, err := p.replay(t, "--all"); err != nil || !strings.Contains(summary, "1 put back, 0 left") {
		t.Errorf("%q, %v", summary, err)
	}
	if at := p.replayed(t); at != 1 {
		t.Errorf("offset %d, want 1", at)
	}
	var letters []*kgo.Record
	eventually(t, "a new letter", func() bool { letters = p.kafka.Read(t, p.dlq); return len(letters) == 2 })
	if header(letters[1], "dlq-topic") != p.topic || header(letters[1], "dlq-partition") != "0" || header(letters[1], "dlq-offset") != "77" || header(letters[1], "dlq-error") == "was refused" {
		t.Errorf("headers %v", letters[1].Headers)
	}
}

func TestReplayFaults(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.oneDLQ(t)
	value := func(s string) *string { return &s }
	p.kafka.Produce(t, p.letter("garbage", 1, "k"))

	if _, summary, err := p.replay(t, "--mended", writeLines(t, line{Offset: 0, Value: value(`{"username":"still wrong"}`)})); err == nil || !strings.Contains(summary, "0 left, 1 failed") {
		t.Errorf("mended in vain: %q, %v", summary, err)
	}
	if _, summary, err := p.replay(t, "--mended", writeLines(t, line{Offset: 17, Value: value("{}")})); err == nil || !strings.Contains(summary, "1 left, 1 failed") {
		t.Errorf("mended, but not there: %q, %v", summary, err)
	}
	if at := p.replayed(t); at != 0 {
		t.Errorf("offset %d, want 0", at)
	}
	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	if err := os.WriteFile(bad, []byte("{\"partition\":0}\n\nnonsense\n{\"partition\":0,\"offset\":1,\"value\":\"*\",\"valueEncoding\":\"base64\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.replay(t, "--mended", bad); err == nil || !strings.Contains(err.Error(), "line 1") || !strings.Contains(err.Error(), "line 3") || !strings.Contains(err.Error(), "line 4") {
		t.Errorf("a bad file: %v", err)
	}
	for name, text := range map[string]string{
		"half a surrogate pair": `{"partition":0,"offset":0,"value":"x\ud800"}`,
		"not UTF-8":             "{\"partition\":0,\"offset\":0,\"value\":\"x\xff\"}",
		"two values":            `{"partition":0,"offset":0,"value":"x","value":"y"}`,
	} {
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.replay(t, "--mended", bad); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, args := range [][]string{{"--mended", "nowhere"}, {"--frobnicate"}, {"purchases"}} {
		if _, _, err := p.replay(t, args...); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	if _, _, err := p.replay(t, "-h"); err != nil {
		t.Errorf("help: %v", err)
	}
	p.dlq = "nowhere"
	if _, _, err := p.replay(t); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a topic that is not there: %v", err)
	}
}

func TestReplayOfNothing(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	for range 2 {
		if _, summary, err := p.replay(t); err != nil || summary != "replay-dlq: 0 letters read, 0 put back, 0 left, 0 failed" {
			t.Errorf("%q, %v", summary, err)
		}
	}
}

// More letters than are in flight at once, in several partitions.
func TestReplayOfMany(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	var events []event.Purchase
	made, _ := purchases(t, p.topic, 1300)
	for i, e := range made {
		value, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		p.kafka.Produce(t, p.letter(string(value), int64(i), e.UserID))
		events = append(events, e)
	}
	start(t, p.environ())
	if _, summary, err := p.replay(t); err != nil || summary != "replay-dlq: 1300 letters read, 1300 put back, 0 left, 0 failed" {
		t.Errorf("%q, %v", summary, err)
	}
	p.wantStored(t, events)
	if left := p.uncommitted(t, replayGroup, p.dlq); left != 0 {
		t.Errorf("%d letters would be read again", left)
	}
	if _, summary, err := p.replay(t); err != nil || !strings.Contains(summary, "0 letters read") {
		t.Errorf("second run: %q, %v", summary, err)
	}
}

func TestJudge(t *testing.T) {
	topic := "purchases.dlq"
	headers := func(more ...kafka.Header) []kafka.Header {
		return append([]kafka.Header{{Key: "dlq-topic", Value: []byte("purchases")}, {Key: "dlq-partition", Value: []byte("3")}, {Key: "dlq-offset", Value: []byte("42")}}, more...)
	}
	const good, bad = `{"username":"a","userid":"b","price":1,"timestamp":1}`, `{"username":"a"}`
	tests := map[string]struct {
		value   string
		headers []kafka.Header
		mended  *mending
		all     bool
		want    string // back, left or failed
	}{
		"accepted now":                 {good, headers(), nil, false, "back"},
		"refused still":                {bad, headers(), nil, false, "left"},
		"refused still, all":           {bad, headers(), nil, true, "back"},
		"mended":                       {bad, headers(), &mending{[]byte(good)}, false, "back"},
		"mended in vain":               {bad, headers(), &mending{[]byte(`{}`)}, false, "failed"},
		"mended in vain, all":          {bad, headers(), &mending{[]byte(`{}`)}, true, "failed"},
		"in the file, but unchanged":   {bad, headers(), &mending{[]byte(bad)}, false, "left"},
		"without a source":             {good, nil, nil, true, "left"},
		"with half a source":           {good, headers()[:2], nil, false, "left"},
		"only its beginning":           {good, headers(kafka.Header{Key: headerTruncated, Value: []byte("900")}), nil, true, "left"},
		"only its beginning, mended":   {bad, headers(kafka.Header{Key: headerTruncated, Value: []byte("900")}), &mending{[]byte(good)}, false, "back"},
		"a tombstone is no purchase":   {"", headers(), nil, false, "left"},
		"a good one mended to nothing": {good, headers(), &mending{nil}, false, "failed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic}, Key: []byte("k"), Value: []byte(tt.value), Headers: tt.headers}
			v := judge(m, tt.mended, tt.all)
			got := "left"
			switch {
			case v.back:
				got = "back"
			case v.failed:
				got = "failed"
			}
			if got != tt.want || (got != "back" && v.refusal == nil) {
				t.Errorf("%s (%v), want %s", got, v.refusal, tt.want)
			}
			if v.back && (v.record.Topic != "purchases" || len(v.record.Headers) != 3) {
				t.Errorf("record = %+v", v.record)
			}
		})
	}
	if _, err := bytesOf(new(string), "rot13"); err == nil {
		t.Error("an unknown encoding was taken")
	}
}
