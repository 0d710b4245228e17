package main

import (
	"strings"
	"testing"
	"time"
)

func TestABrokerMayStopIfTheClusterCanDoWithoutIt(t *testing.T) {
	now := time.Now()
	fresh := func(ids ...int32) quorum {
		q := quorum{leader: ids[0]}
		for _, id := range ids {
			q.voters = append(q.voters, voter{id, now})
		}
		return q
	}
	lagging := fresh(0, 1, 2)
	lagging.voters[1].caughtUp = now.Add(-3 * time.Second)
	behind := fresh(0, 1, 2)
	behind.voters[2].caughtUp = time.Time{}
	says := func(ps ...partition) []answer {
		return []answer{{from: 1, brokers: []int32{0, 1, 2}, partitions: ps}}
	}
	orders := func(isr ...int32) partition {
		return partition{topic: "orders", number: 3, replicas: []int32{0, 1, 2}, isr: isr, minISR: 2}
	}
	for name, test := range map[string]struct {
		view view
		want string // in the reason; empty if it may stop
	}{
		"another one has just died":         {view{says(orders(0, 1, 2)), fresh(0, 1, 2), []int32{0}}, "would have 1 of 3 replicas in sync"},
		"another controller has just died":  {view{says(), fresh(0, 1, 2), []int32{0}}, "1 of 3 controllers"},
		"all in sync":                       {view{says(orders(0, 1, 2)), fresh(0, 1, 2), nil}, ""},
		"another replica is behind":         {view{says(orders(1, 2)), fresh(0, 1, 2), nil}, `partition 3 of "orders" would have 1 of 3 replicas in sync, but needs 2`},
		"its own replica is behind":         {view{says(orders(0, 1)), fresh(0, 1, 2), nil}, ""},
		"one broker knows better":           {view{append(says(orders(0, 1, 2)), answer{from: 0, partitions: []partition{orders(1, 2)}}), fresh(0, 1, 2), nil}, "broker 0 says"},
		"a topic that has too few replicas": {view{says(partition{topic: "one", replicas: []int32{2}, isr: []int32{2}, minISR: 1}), fresh(0, 1, 2), nil}, ""},
		"another controller is behind":      {view{says(orders(0, 1, 2)), lagging, nil}, "1 of 3 controllers would have caught up, but 2 are needed"},
		"its own controller is behind":      {view{says(orders(0, 1, 2)), behind, nil}, ""},
		"it has no vote":                    {view{says(orders(0, 1, 2)), fresh(0, 1, 3), nil}, ""},
		"it has the only vote":              {view{says(orders(0, 1, 2)), fresh(2), nil}, ""},
		"nobody answers":                    {view{nil, fresh(0, 1, 2), nil}, "no broker answers"},
	} {
		t.Run(name, func(t *testing.T) {
			err := mayStop(test.view, 2)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("reason: %v, want %q", err, test.want)
			}
		})
	}
}

func TestABrokerIsReadyWhenItHasCaughtUp(t *testing.T) {
	own := func(brokers []int32, ps ...partition) view {
		return view{answers: []answer{{from: 2, brokers: brokers, partitions: ps}}}
	}
	all := []int32{0, 1, 2}
	for name, test := range map[string]struct {
		view view
		want string
	}{
		"in sync":                        {own(all, partition{topic: "a", replicas: all, isr: all}), ""},
		"another's replica is behind":    {own(all, partition{topic: "a", replicas: all, isr: []int32{0, 2}}), ""},
		"its replica is behind":          {own(all, partition{topic: "a", number: 4, replicas: all, isr: []int32{0, 1}}), `partition 4 of "a"`},
		"a replica is being moved to it": {own(all, partition{topic: "a", replicas: all, adding: []int32{2}, isr: []int32{0, 1}}), ""},
		"it holds nothing yet":           {own(all), ""},
		"it is fenced":                   {own([]int32{0, 1}), "fenced"},
		"it doesn't answer":              {view{answers: []answer{{from: 1, brokers: all}}}, "doesn't answer"},
	} {
		t.Run(name, func(t *testing.T) {
			err := inSync(test.view, 2)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("reason: %v, want %q", err, test.want)
			}
		})
	}
}
