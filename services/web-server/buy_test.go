package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/testkit/brokertest"
)

// What the clients of the original systems send, to the paths that they use.
func TestOriginalClients(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "purchases", 6, nil)
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL).ready(t)

	for i, contentType := range []string{"application/json", "application/x-www-form-urlencoded", "text/plain", ""} {
		for _, path := range []string{"/api/v1/buy", "/buy"} {
			user := fmt.Sprintf("u-%d%s", i, path)
			before := time.Now()
			got := request(t, http.MethodPost, s.url+path, `{"username": "Ann", "userid": "`+user+`", "price": 19.99, "extra": [1]}`, "Content-Type", contentType)
			if got.status != http.StatusAccepted {
				t.Fatalf("POST %s as %q = %d %s", path, contentType, got.status, got.body)
			}
			body := got.json(t)
			if body["status"] != "success" || body["message"] != "Purchase recorded" {
				t.Errorf("body = %s", got.body)
			}
			data := got.data(t)
			if data.Username != "Ann" || data.UserID != user || data.Price != 19.99 {
				t.Errorf("data = %+v", data)
			}
			if at := time.UnixMicro(int64(data.Timestamp * 1e6)); at.Before(before.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
				t.Errorf("timestamp = %f", data.Timestamp)
			}
			if id, err := uuid.Parse(data.EventID); err != nil || id.Version() != 7 {
				t.Errorf("eventId = %q", data.EventID)
			}
			if want := "/api/v1/buys/" + data.EventID; got.header.Get("Location") != want {
				t.Errorf("Location = %q, want %q", got.header.Get("Location"), want)
			}
		}
	}

	records := k.Read(t, topic)
	if len(records) != 8 {
		t.Fatalf("%d records, want 8", len(records))
	}
	for _, r := range records {
		p := decode(t, r)
		if string(r.Key) != p.UserID || p.PriceMinor != 1999 || p.Currency != "USD" || p.SchemaVersion != 1 {
			t.Errorf("record %s = %s", r.Key, r.Value)
		}
		if d := r.Timestamp.Sub(p.Timestamp.Time); d.Abs() > time.Millisecond {
			t.Errorf("record's time differs from the event's by %v", d)
		}
	}
}

func TestBadBodies(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "purchases", 1, nil)
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL)

	tests := map[string]struct {
		body   string
		status int
		fields []string
	}{
		"empty":           {``, 400, []string{"body"}},
		"malformed":       {`{"username":"a",`, 400, []string{"body"}},
		"form":            {`username=a&userid=b&price=1`, 400, []string{"body"}},
		"array":           {`[{"username":"a","userid":"b","price":1}]`, 400, []string{"body"}},
		"string":          {`"buy"`, 400, []string{"body"}},
		"null":            {`null`, 400, []string{"body"}},
		"two objects":     {purchaseOf("a", 1) + purchaseOf("b", 1), 400, []string{"body"}},
		"not UTF-8":       {"{\"username\":\"\xff\",\"userid\":\"b\",\"price\":1}", 400, []string{"username"}},
		"deep nesting":    {`{"username":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `,"userid":"b","price":1}`, 400, []string{"body"}},
		"deep objects":    {`{"username":` + strings.Repeat(`{"a":`, 10000) + `1` + strings.Repeat("}", 10000) + `,"userid":"b","price":1}`, 400, []string{"body"}},
		"half a pair":     {`{"username":"a","userid":"x\ud800","price":1}`, 400, []string{"userid"}},
		"twice":           {`{"username":"a","userid":"b","userid":"c","price":1}`, 400, []string{"userid"}},
		"capitals":        {`{"username":"a","userid":"b","Price":2,"price":1}`, 400, []string{"Price"}},
		"bad product":     {`{"username":"a","userid":"b","price":1,"product":7}`, 400, []string{"product"}},
		"byte order mark": {"\xef\xbb\xbf" + purchaseOf("b", 1), 400, []string{"body"}},
		"many digits":     {`{"username":"a","userid":"b","price":1.` + strings.Repeat("0", 60000) + `1}`, 400, []string{"price"}},
		"tiny":            {`{"username":"a","userid":"b","price":1e-400}`, 400, []string{"price"}},
		"nested":          {`{"username":{"a":[{}]},"userid":"b","price":1}`, 400, []string{"username"}},
		"nothing there":   {`{}`, 400, []string{"username", "userid", "price"}},
		"wrong types":     {`{"username":1,"userid":true,"price":"1"}`, 400, []string{"username", "userid", "price"}},
		"negative":        {purchaseOf("b", -1), 400, []string{"price"}},
		"zero":            {purchaseOf("b", 0), 400, []string{"price"}},
		"NaN":             {`{"username":"a","userid":"b","price":NaN}`, 400, []string{"price"}},
		"Infinity":        {`{"username":"a","userid":"b","price":Infinity}`, 400, []string{"price"}},
		"too much":        {purchaseOf("b", math.MaxFloat64), 400, []string{"price"}},
		"huge exponent":   {`{"username":"a","userid":"b","price":1e999999999}`, 400, []string{"price"}},
		"blank user":      {`{"username":"a","userid":"  ","price":1}`, 400, []string{"userid"}},
		"long user":       {purchaseOf(strings.Repeat("x", 129), 1), 400, []string{"userid"}},
		"just too large":  {`{"pad":"` + strings.Repeat("x", maxBody) + `"}`, 413, nil},
		"huge":            {strings.Repeat("x", 4<<20), 413, nil},
		"large but valid": {`{"pad":"` + strings.Repeat("x", 60<<10) + `","username":"a","userid":"b","price":1}`, 202, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := s.buy(t, tt.body)
			if got.status != tt.status {
				t.Fatalf("status = %d, want %d: %s", got.status, tt.status, got.body)
			}
			if tt.status == http.StatusAccepted {
				return
			}
			var fields []string
			for _, e := range got.problem(t).Errors {
				fields = append(fields, e.Field)
			}
			if !slices.Equal(fields, tt.fields) {
				t.Errorf("errors at %q, want %q: %s", fields, tt.fields, got.body)
			}
		})
	}
	if got := k.Read(t, topic); len(got) != 1 {
		t.Errorf("%d records from one valid body", len(got))
	}
}

// Two user ids that would be repaired to the same one are two refusals, not one event.
func TestTwoUsersStayTwo(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "purchases", 1, nil)
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL).ready(t)
	for _, user := range []string{`x\ud800`, `x\udbff`} {
		got := s.buy(t, `{"username":"Ann","userid":"`+user+`","price":1}`, idempotencyHeader, "k")
		if got.status != http.StatusBadRequest || got.problem(t).Errors[0].Field != "userid" {
			t.Errorf("%s = %d %s", user, got.status, got.body)
		}
	}
	whole := s.buy(t, `{"username":"Ann","userid":"x\ud83d\ude00","price":1}`, idempotencyHeader, "k")
	if whole.status != http.StatusAccepted || whole.data(t).UserID != "x😀" {
		t.Errorf("%d %s", whole.status, whole.body)
	}
	if records := k.Read(t, topic); len(records) != 1 {
		t.Errorf("%d records", len(records))
	}
}

// What was bought is part of the purchase, if the buyer says it.
func TestProductIsKept(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "purchases", 1, nil)
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL).ready(t)
	got := s.buy(t, `{"username":"Ann","userid":"u","price":1,"product":"Wool & silk"}`)
	if got.status != http.StatusAccepted || !strings.Contains(string(got.body), `"product":"Wool \u0026 silk"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if without := s.buy(t, purchaseOf("u", 1)); strings.Contains(string(without.body), "product") {
		t.Errorf("a product that was not named: %s", without.body)
	}
	records := k.Read(t, topic)
	if a, b := decode(t, records[0]), decode(t, records[1]); a.Product != "Wool & silk" || b.Product != "" {
		t.Errorf("%+v, %+v", a, b)
	}
}

// A body that never arrives must not occupy a handler forever.
func TestABodyThatNeverEndsIsGivenUp(t *testing.T) {
	s := start(t, "127.0.0.1:1", "purchases", newUpstream(t).URL)
	t.Parallel() // it takes the server's 15 seconds
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "POST /buy HTTP/1.1\r\nHost: shop\r\nContent-Length: 60\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12)
	if _, err := conn.Read(answer); err != nil || string(answer) != "HTTP/1.1 408" {
		t.Errorf("answer = %q, %v", answer, err)
	}
}

// A client that waits for 100 Continue needn't send what is refused anyway.
func TestABodyThatIsTooLargeIsNotAskedFor(t *testing.T) {
	shop := serveWith(t, config{Currency: "USD"}, fakeKafka{})
	for _, path := range []string{"/api/v1/buy", "/shop/buy"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(shop, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: shop\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n", path)
		answer := make([]byte, 12)
		if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 413" {
			t.Errorf("%s answers %q, %v", path, answer, err)
		}
	}
}

// Long bodies that arrive slowly keep neither all memory nor a usual purchase waiting.
func TestSlowLongBodiesAreLimited(t *testing.T) {
	shop := serveWith(t, config{Currency: "USD"}, fakeKafka{})
	var slow []net.Conn
	for range roomForBodies / maxBody {
		conn, err := net.Dial("tcp", strings.TrimPrefix(shop, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /api/v1/buy HTTP/1.1\r\nHost: shop\r\nContent-Length: 60000\r\n\r\n{")
		slow = append(slow, conn)
	}
	long := `{"pad":"` + strings.Repeat("x", 30<<10) + `",` + purchaseOf("ann", 1)[1:]
	await(t, "long bodies are refused", func() bool {
		got := request(t, http.MethodPost, shop+"/api/v1/buy", long)
		return got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") != ""
	})
	for _, path := range []string{"/api/v1/buy", "/buy"} {
		if got := request(t, http.MethodPost, shop+path, purchaseOf("ann", 1)); got.status != http.StatusAccepted {
			t.Errorf("a usual purchase at %s: %d %s", path, got.status, got.body)
		}
	}
	for _, conn := range slow {
		_ = conn.Close()
	}
	await(t, "long bodies are accepted again", func() bool {
		return request(t, http.MethodPost, shop+"/api/v1/buy", long).status == http.StatusAccepted
	})
}

func TestAcceptedOnlyAfterTheAck(t *testing.T) {
	k := embedded(t)
	topic := k.Topic(t, "purchases", 1, nil)
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL).ready(t)

	hold := holdProduce(k)
	answered := make(chan reply, 1)
	go func() { got, _ := tryRequest(http.MethodPost, s.url+"/buy", purchaseOf("u-1", 1)); answered <- got }()
	<-hold.arrived
	select {
	case got := <-answered:
		t.Fatalf("answered %d before the acknowledgement", got.status)
	case <-time.After(500 * time.Millisecond):
	}
	hold.release()
	if got := <-answered; got.status != http.StatusAccepted {
		t.Errorf("buy = %d %s", got.status, got.body)
	}
}

func TestIdempotencyKey(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "purchases", 1, nil)
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL).ready(t)
	buy := func(user, key string) string {
		t.Helper()
		got := s.buy(t, purchaseOf(user, 1), idempotencyHeader, key)
		if got.status != http.StatusAccepted {
			t.Fatalf("buy = %d %s", got.status, got.body)
		}
		return got.data(t).EventID
	}
	first := buy("u-1", "k 1")
	if id, err := uuid.Parse(first); err != nil || id.Version() != 5 {
		t.Errorf("eventId = %q", first)
	}
	if again := buy("u-1", "k 1"); again != first {
		t.Errorf("the same key gave %s and %s", first, again)
	}
	others := []string{buy("u-2", "k 1"), buy("u-1", "k 2"), buy("u-1k", " 1"), s.buy(t, purchaseOf("u-1", 1)).data(t).EventID}
	for i, id := range others {
		if id == first || slices.Contains(others[:i], id) {
			t.Errorf("purchase %d shares the id %s", i, id)
		}
	}
	if a, b := eventIDFor("u", "1k"), eventIDFor("u1", "k"); a == b {
		t.Error("user and key are concatenated ambiguously")
	}

	for name, header := range map[string][]string{
		"long":    {idempotencyHeader, strings.Repeat("k", 201)},
		"empty":   {idempotencyHeader, ""},
		"unicode": {idempotencyHeader, "kä"},
		"twice":   {idempotencyHeader, "a", idempotencyHeader, "b"},
	} {
		got := s.buy(t, `{"username":"a","userid":"b"}`, header...)
		errs := got.problem(t).Errors
		if got.status != http.StatusBadRequest || len(errs) != 2 || errs[0].Field != idempotencyHeader || errs[1].Field != "price" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := s.buy(t, purchaseOf("u-1", 1), idempotencyHeader, strings.Repeat("k", 200)); got.status != http.StatusAccepted {
		t.Errorf("200 characters: %d", got.status)
	}
}

// One user's purchases are on the topic in the order of their responses.
func TestOrderPerUser(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "purchases", 6, nil)
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL).ready(t)

	const users, each = 20, 25
	answered := make([][]string, users)
	var wg sync.WaitGroup
	for user := range users {
		wg.Go(func() {
			for range each {
				got, err := tryRequest(http.MethodPost, s.url+"/buy", purchaseOf(fmt.Sprintf("u-%d", user), 1))
				if err != nil || got.status != http.StatusAccepted {
					t.Errorf("buy = %d, %v", got.status, err)
					return
				}
				answered[user] = append(answered[user], got.data(t).EventID)
			}
		})
	}
	wg.Wait()
	inTopic := map[string][]string{}
	partition := map[string]int32{}
	for _, r := range k.Read(t, topic) {
		user := string(r.Key)
		if p, seen := partition[user]; seen && p != r.Partition {
			t.Errorf("%s is on partitions %d and %d", user, p, r.Partition)
		}
		partition[user] = r.Partition
		inTopic[user] = append(inTopic[user], decode(t, r).EventID)
	}
	for user := range users {
		if name := fmt.Sprintf("u-%d", user); !slices.Equal(inTopic[name], answered[user]) {
			t.Errorf("%s: %d answered, %d in the topic, or in another order", name, len(answered[user]), len(inTopic[name]))
		}
	}
}

// SIGTERM under load: what was answered with 202 is in the topic, and nothing is in it twice.
func TestDrainLosesNothing(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "purchases", 6, nil)
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL).ready(t)

	var mu sync.Mutex
	accepted := map[string]bool{}
	enough := make(chan struct{})
	var wg sync.WaitGroup
	for user := range 32 {
		wg.Go(func() {
			for {
				got, err := tryRequest(http.MethodPost, s.url+"/buy", purchaseOf(fmt.Sprintf("u-%d", user), 1))
				if err != nil { // the listener is closed
					return
				}
				if got.status != http.StatusAccepted {
					t.Errorf("buy = %d %s", got.status, got.body)
					return
				}
				mu.Lock()
				accepted[got.data(t).EventID] = true
				if len(accepted) == 500 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	begin := time.Now()
	if err := s.stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	took := time.Since(begin)
	wg.Wait()
	t.Logf("stopped after %v, %d accepted", took.Round(time.Millisecond), len(accepted))
	seen := map[string]bool{}
	for _, r := range k.Read(t, topic) {
		id := decode(t, r).EventID
		if seen[id] {
			t.Errorf("%s is in the topic twice", id)
		}
		seen[id] = true
	}
	for id := range accepted {
		if !seen[id] {
			t.Errorf("%s was accepted and is not in the topic", id)
		}
	}
}

// A buy that waits for its acknowledgement at the time of the signal still gets it.
func TestDrainWaitsForTheAck(t *testing.T) {
	k := embedded(t)
	topic := k.Topic(t, "purchases", 1, nil)
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL).ready(t)
	hold := holdProduce(k)
	answered := make(chan reply, 1)
	go func() { got, _ := tryRequest(http.MethodPost, s.url+"/buy", purchaseOf("u-1", 1)); answered <- got }()
	<-hold.arrived
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	await(t, "the listener is closed", func() bool {
		_, err := tryRequest(http.MethodGet, s.url+"/health", "")
		return err != nil
	})
	hold.release()
	if got := <-answered; got.status != http.StatusAccepted {
		t.Errorf("buy = %d %s", got.status, got.body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestKafkasErrorDeterminesTheStatus(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		status int
	}{
		"unavailable": {fmt.Errorf("%w: queue full", kafkax.ErrUnavailable), 503},
		"invalid":     {errors.New("broker: invalid record"), 500},
	} {
		t.Run(name, func(t *testing.T) {
			url := serveWith(t, config{Currency: "USD", PurchasesTopic: "p", ManagementAPIURL: "http://127.0.0.1:1"}, fakeKafka{tt.err})
			got := request(t, http.MethodPost, url+"/buy", purchaseOf("u", 1))
			if got.status != tt.status || (got.header.Get("Retry-After") != "") != (tt.status == 503) {
				t.Errorf("buy = %d %v %s", got.status, got.header, got.body)
			}
			got.problem(t)
			if strings.Contains(string(got.body), "broker:") {
				t.Errorf("internals in %s", got.body)
			}
		})
	}
}

// If the broker rejects a record, that is not an outage: a retry is useless.
func TestKafkaRefusesTheRecord(t *testing.T) {
	k := embedded(t)
	topic := k.Topic(t, "purchases", 1, nil)
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL).ready(t)
	k.Embedded.Cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		answer := r.ResponseKind().(*kmsg.ProduceResponse)
		for _, asked := range r.(*kmsg.ProduceRequest).Topics {
			partition := kmsg.NewProduceResponseTopicPartition()
			partition.Partition, partition.ErrorCode = asked.Partitions[0].Partition, kerr.InvalidRecord.Code
			answer.Topics = append(answer.Topics, kmsg.ProduceResponseTopic{Topic: asked.Topic, Partitions: []kmsg.ProduceResponseTopicPartition{partition}})
		}
		return answer, nil, true
	})
	if got := s.buy(t, purchaseOf("u-1", 1)); got.status != http.StatusInternalServerError || got.header.Get("Retry-After") != "" {
		t.Errorf("buy = %d %s", got.status, got.body)
	}
	if got := s.buy(t, purchaseOf("u-1", 1)); got.status != http.StatusAccepted {
		t.Errorf("the next buy = %d %s", got.status, got.body)
	}
}
