package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// node is a broker that may hold replicas. Its rack is empty if the brokers have none.
type node struct {
	id   int32
	rack string
}

// partition says where the replicas of a partition are. The first is the preferred
// leader.
type partition struct {
	topic    string
	number   int32
	replicas []int32
}

// place returns the partitions whose replicas have to move, or to change their order, so
// that only the given brokers hold replicas, every partition has at least the number of
// replicas that factor requires for its topic, and brokers have a fair share of replicas
// and of leaders, for each topic and in total. Replicas that can stay do, and no partition
// gets into fewer racks than before. It fails if a topic has more replicas than there are
// brokers.
func place(brokers []node, now []partition, factor map[string]int) ([]partition, error) {
	for _, p := range now {
		if wanted := max(len(p.replicas), factor[p.topic]); wanted > len(brokers) {
			return nil, fmt.Errorf("topic %q has %d replicas of each partition, but only %d brokers are left for them: keep at least %d brokers, or reduce its replicas first",
				p.topic, wanted, len(brokers), wanted)
		}
	}
	b := board{rack: map[int32]string{}, held: newShares(), led: newShares()}
	for _, n := range brokers {
		b.ids = append(b.ids, n.id)
		b.rack[n.id] = n.rack
	}
	slices.Sort(b.ids)
	for _, p := range now {
		p.replicas = slices.Clone(p.replicas)
		b.partitions = append(b.partitions, &p)
		for _, id := range p.replicas {
			b.held.add(p.topic, id, 1)
		}
	}
	for i, p := range b.partitions {
		b.fill(p, max(len(now[i].replicas), factor[p.topic]))
	}
	b.level(b.held, b.move)
	for _, p := range b.partitions {
		b.led.add(p.topic, p.replicas[0], 1)
	}
	b.level(b.led, b.lead)

	var moves []partition
	for i, p := range b.partitions {
		if !slices.Equal(p.replicas, now[i].replicas) {
			moves = append(moves, *p)
		}
	}
	return moves, nil
}

// shares counts replicas or leaders by topic and broker; topic "" is the total.
type shares map[string]map[int32]int

func newShares() shares { return shares{"": {}} }

func (s shares) add(topic string, id int32, n int) {
	if s[topic] == nil {
		s[topic] = map[int32]int{}
	}
	s[topic][id] += n
	s[""][id] += n
}

type board struct {
	ids        []int32
	rack       map[int32]string
	partitions []*partition
	held, led  shares
}

// fill chooses a partition's replicas: the existing ones on brokers that stay, and new
// ones on the brokers with the fewest, in racks that it isn't in yet.
func (b *board) fill(p *partition, wanted int) {
	for i, id := range p.replicas {
		if !slices.Contains(b.ids, id) {
			others := slices.Concat(p.replicas[:i], p.replicas[i+1:])
			p.replicas[i] = b.best(p.topic, others)
			b.held.add(p.topic, id, -1)
			b.held.add(p.topic, p.replicas[i], 1)
		}
	}
	for len(p.replicas) < wanted {
		id := b.best(p.topic, p.replicas)
		p.replicas = append(p.replicas, id)
		b.held.add(p.topic, id, 1)
	}
}

func (b *board) best(topic string, taken []int32) int32 {
	free := slices.DeleteFunc(slices.Clone(b.ids), func(id int32) bool { return slices.Contains(taken, id) })
	return slices.MinFunc(free, func(x, y int32) int {
		return cmp.Or(
			b.racks(append(slices.Clone(taken), y))-b.racks(append(slices.Clone(taken), x)),
			b.held[topic][x]-b.held[topic][y],
			b.held[""][x]-b.held[""][y],
			int(x-y),
		)
	})
}

// racks counts the racks of the brokers, without those that are to be removed.
func (b *board) racks(ids []int32) int {
	in := map[string]bool{}
	for _, id := range ids {
		if rack, stays := b.rack[id]; stays {
			in[rack] = true
		}
	}
	return len(in)
}

// level makes the shares of each topic as even as possible, and then those of all topics
// together without undoing that.
func (b *board) level(s shares, step func(p *partition, from, to int32) bool) {
	topics := slices.Sorted(maps.Keys(s))
	for _, topic := range topics {
		if topic != "" {
			for b.once(s[topic], 2, func(from, to int32) bool {
				return b.any(step, from, to, func(t string) bool { return t == topic })
			}) {
			}
		}
	}
	for b.once(s[""], 2, func(from, to int32) bool {
		return b.any(step, from, to, func(t string) bool { return s[t][from] > s[t][to] })
	}) {
	}
}

// once moves one replica from a broker to another whose share is smaller by at least gap,
// starting with those furthest apart.
func (b *board) once(share map[int32]int, gap int, step func(from, to int32) bool) bool {
	order := slices.Clone(b.ids)
	slices.SortStableFunc(order, func(x, y int32) int { return share[y] - share[x] })
	for _, from := range order {
		for _, to := range slices.Backward(order) {
			if share[from]-share[to] < gap {
				break
			}
			if step(from, to) {
				return true
			}
		}
	}
	return false
}

func (b *board) any(step func(p *partition, from, to int32) bool, from, to int32, of func(topic string) bool) bool {
	for _, p := range b.partitions {
		if of(p.topic) && step(p, from, to) {
			return true
		}
	}
	return false
}

// move moves a replica to another broker, if that is allowed.
func (b *board) move(p *partition, from, to int32) bool {
	at := slices.Index(p.replicas, from)
	if at < 0 || slices.Contains(p.replicas, to) {
		return false
	}
	moved := slices.Clone(p.replicas)
	moved[at] = to
	if b.racks(moved) < b.racks(p.replicas) {
		return false
	}
	p.replicas = moved
	b.held.add(p.topic, from, -1)
	b.held.add(p.topic, to, 1)
	return true
}

// lead makes another replica the preferred leader, which moves no data.
func (b *board) lead(p *partition, from, to int32) bool {
	at := slices.Index(p.replicas, to)
	if p.replicas[0] != from || at < 0 {
		return false
	}
	p.replicas[0], p.replicas[at] = to, from
	b.led.add(p.topic, from, -1)
	b.led.add(p.topic, to, 1)
	return true
}
