package mongox

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo/address"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/testkit/database"
)

const head = `
# HELP mongo_members Members of the database by their state, as this service's client knows them.
# TYPE mongo_members gauge
`

func TestTheMembersOfAReplicaSetAreTold(t *testing.T) {
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	m := NewMembers(prometheus.NewPedanticRegistry())
	m.now = func() time.Time { return now }
	events := m.Options().ServerMonitor
	hears := func(host, kind string, wrote time.Time) {
		addr := address.Address(host)
		events.ServerDescriptionChanged(&event.ServerDescriptionChangedEvent{Address: addr, NewDescription: event.ServerDescription{Kind: kind}})
		if kind != "Unknown" {
			events.ServerHeartbeatSucceeded(&event.ServerHeartbeatSucceededEvent{Reply: event.ServerDescription{Addr: addr, LastWriteTime: wrote}})
		}
	}
	for _, host := range []string{"a:27017", "b:27017", "c:27017", "d:27017"} {
		events.ServerOpening(&event.ServerOpeningEvent{Address: address.Address(host)})
	}
	hears("a:27017", "RSPrimary", now)
	hears("b:27017", "RSSecondary", now.Add(-90*time.Second))
	now = now.Add(7 * time.Second) // c is heard later, and has all there was then
	hears("c:27017", "RSSecondary", now)
	hears("d:27017", "RSSecondary", now)
	hears("d:27017", "Unknown", time.Time{}) // it stops
	assertTold(t, m, head+`
mongo_members{state="arbiter"} 0
mongo_members{state="other"} 0
mongo_members{state="primary"} 1
mongo_members{state="router"} 0
mongo_members{state="secondary"} 2
mongo_members{state="standalone"} 0
mongo_members{state="unreachable"} 1
# HELP mongo_replication_lag_seconds How much older the newest write of a secondary is than that of the primary.
# TYPE mongo_replication_lag_seconds gauge
mongo_replication_lag_seconds{member="b:27017"} 90
mongo_replication_lag_seconds{member="c:27017"} 0
`)

	events.ServerClosed(&event.ServerClosedEvent{Address: "d:27017"}) // it is no longer a member
	hears("a:27017", "Unknown", time.Time{})                          // there is no primary to compare with
	assertTold(t, m, head+`
mongo_members{state="arbiter"} 0
mongo_members{state="other"} 0
mongo_members{state="primary"} 0
mongo_members{state="router"} 0
mongo_members{state="secondary"} 2
mongo_members{state="standalone"} 0
mongo_members{state="unreachable"} 1
`)
}

// With the driver itself, and a database that stops.
func TestAMemberThatStopsIsToldToBeUnreachable(t *testing.T) {
	db, err := database.Start("127.0.0.1:0", t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	m := NewMembers(prometheus.NewPedanticRegistry())
	client, err := Connect(Config{URI: envconf.Secret(db.URI())}, nil, m.Options().SetHeartbeatInterval(500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(t.Context()) })
	await := func(standalone, unreachable int) {
		t.Helper()
		var err error
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if err = testutil.CollectAndCompare(m, strings.NewReader(fmt.Sprintf(head+`
mongo_members{state="arbiter"} 0
mongo_members{state="other"} 0
mongo_members{state="primary"} 0
mongo_members{state="router"} 0
mongo_members{state="secondary"} 0
mongo_members{state="standalone"} %d
mongo_members{state="unreachable"} %d
`, standalone, unreachable))); err == nil {
				return
			}
		}
		t.Fatal(err)
	}
	await(1, 0)
	db.Close()
	await(0, 1)
}

func assertTold(t *testing.T, m *Members, want string) {
	t.Helper()
	if err := testutil.CollectAndCompare(m, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
