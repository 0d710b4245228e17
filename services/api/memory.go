package main

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"sync"
)

// memory holds the positions of cursors that would be too large to contain them. It is
// bounded, and lost when the process ends; a client with such a cursor then gets 410.
// Safe for concurrent use.
type memory struct {
	mu    sync.Mutex
	held  map[key]*list.Element // of *kept
	order *list.List            // most recently used first
	size  int
	most  int // bytes
}

// key identifies held positions.
type key [16]byte

// kept holds positions and the steps that follow them. The steps before first have
// been applied to the positions.
type kept struct {
	key       key
	positions []byte
	first     int
	steps     []step
}

// step sets the next offset of a partition.
type step struct {
	partition int32
	next      int64
}

const (
	memorySize = 8 << 20
	mostSteps  = 8192 // how far a client's event id may lag behind
	stepSize   = 16
	keptCost   = 256
)

func newMemory(size int) *memory {
	return &memory{held: map[key]*list.Element{}, order: list.New(), most: size}
}

func (k *kept) size() int { return keptCost + len(k.positions) + stepSize*cap(k.steps) }

// keep holds positions, and returns the same key for equal ones.
func (m *memory) keep(positions []position) key {
	data := appendPositions(nil, positions)
	sum := sha256.Sum256(data)
	return m.add(&kept{key: key(sum[:16]), positions: data})
}

// begin holds positions that steps will follow.
func (m *memory) begin(positions []position) key {
	k := &kept{positions: appendPositions(nil, positions)}
	_, _ = rand.Read(k.key[:]) // never fails
	return m.add(k)
}

func (m *memory) add(k *kept) key {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(k.key)
	m.held[k.key] = m.order.PushFront(k)
	m.grow(k.size())
	return k.key
}

// step appends a step, and returns the number of steps so far; 0 if the positions have
// been dropped.
func (m *memory) step(name key, s step) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.use(name)
	if k == nil {
		return 0
	}
	before := k.size()
	if len(k.steps) == mostSteps {
		k.fold(mostSteps / 2)
	}
	k.steps = append(k.steps, s)
	m.grow(k.size() - before)
	return k.first + len(k.steps)
}

// fold applies the oldest n steps to the positions.
func (k *kept) fold(n int) {
	d := decoder{rest: k.positions}
	k.positions = appendPositions(nil, apply(d.positions(), k.steps[:n]))
	k.steps = k.steps[:copy(k.steps, k.steps[n:])]
	k.first += n
}

func apply(positions []position, steps []step) []position {
	for _, s := range steps {
		if p := find(positions, s.partition); p != nil {
			p.end = s.next
		}
	}
	return positions
}

// get returns the positions after the given number of steps.
func (m *memory) get(name key, steps int) ([]position, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.use(name)
	if k == nil || steps < k.first || steps > k.first+len(k.steps) {
		return nil, false
	}
	d := decoder{rest: k.positions}
	return apply(d.positions(), k.steps[:steps-k.first]), true
}

func (m *memory) use(name key) *kept {
	e := m.held[name]
	if e == nil {
		return nil
	}
	m.order.MoveToFront(e)
	return e.Value.(*kept)
}

// grow makes room by dropping the least recently used, but never the most recently
// used.
func (m *memory) grow(by int) {
	for m.size += by; m.size > m.most && m.order.Len() > 1; {
		m.drop(m.order.Back().Value.(*kept).key)
	}
}

func (m *memory) drop(name key) {
	if e := m.held[name]; e != nil {
		m.size -= e.Value.(*kept).size()
		m.order.Remove(e)
		delete(m.held, name)
	}
}
