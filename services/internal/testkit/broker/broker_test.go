package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAMemberThatDiesWhileItJoinsLosesItsPartitions(t *testing.T) {
	b, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	member := func(id string, dial func(ctx context.Context, network, host string) (net.Conn, error)) *kgo.Client {
		client, err := kgo.NewClient(
			kgo.SeedBrokers(b.BootstrapServers()), kgo.ClientID(id), kgo.Dialer(dial),
			kgo.ConsumerGroup("group"), kgo.ConsumeTopics("topic"), kgo.FetchMaxWait(100*time.Millisecond),
			kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(time.Second), kgo.RebalanceTimeout(time.Minute),
			kgo.RecordPartitioner(kgo.ManualPartitioner()),
		)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		return client
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	alive := member("alive", (&net.Dialer{}).DialContext)
	if _, err := kadm.NewClient(alive).CreateTopic(ctx, 2, 1, nil, "topic"); err != nil {
		t.Fatal(err)
	}
	// The group is stable: the first record has been read.
	if err := alive.ProduceSync(ctx, &kgo.Record{Topic: "topic", Partition: 0, Value: []byte("first")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for alive.PollFetches(ctx).NumRecords() == 0 {
		if ctx.Err() != nil {
			t.Fatal("the first member reads nothing")
		}
	}

	// The other member dies as soon as its join is pending.
	cable := &cable{}
	pending := make(chan struct{})
	var once sync.Once
	b.Cluster.ControlKey(int16(kmsg.JoinGroup), func(r kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // kfake's signature
		if join := r.(*kmsg.JoinGroupRequest); join.MemberID != "" && len(join.MemberID) > 4 && join.MemberID[:4] == "dies" {
			once.Do(func() { close(pending) })
		}
		return nil, nil, false
	})
	go member("dies", cable.dial).PollFetches(ctx)
	select {
	case <-pending:
		cable.cut()
	case <-ctx.Done():
		t.Fatal("the other member never joined")
	}
	// Its session expires, and with it its membership.
	for {
		described, err := kadm.NewClient(alive).DescribeGroups(ctx, "group")
		if err := errors.Join(ctx.Err(), err, described["group"].Err); err != nil {
			t.Fatalf("the dead member was not removed from the group: %v", err)
		}
		if !slices.ContainsFunc(described["group"].Members, func(m kadm.DescribedGroupMember) bool { return m.ClientID == "dies" }) {
			return
		}
		alive.PollFetches(poll(ctx, t))
	}
}

// poll limits the time of one poll.
func poll(ctx context.Context, t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// cable is a network that can be cut.
type cable struct {
	mu    sync.Mutex
	conns []net.Conn
	dead  bool
}

func (c *cable) dial(ctx context.Context, network, host string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return nil, errors.New("cut")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, host)
	if err != nil {
		return nil, fmt.Errorf("dialling: %w", err)
	}
	c.conns = append(c.conns, conn)
	return conn, nil
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}
