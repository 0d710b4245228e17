package main

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"sync"
)

// memory holds the positions of cursors that would be too large with them. It
// is bounded, and ends with the process: then the place is lost, and its caller
// is told so. Safe for concurrent use.
type memory struct {
	mu    sync.Mutex
	held  map[key]*list.Element // of *kept
	order *list.List            // the last used first
	size  int
	most  int // bytes
}

// key names what is held.
type key [16]byte

// kept is the positions of a place, and steps that lead on from there. The
// steps before the first were folded into the positions.
type kept struct {
	key       key
	positions []byte
	first     int
	steps     []step
}

// step says which offset comes next in a partition.
type step struct {
	partition int32
	next      int64
}

const (
	memorySize = 8 << 20
	mostSteps  = 8192 // that one client may be behind
	stepSize   = 16
	keptCost   = 256
)

func newMemory(size int) *memory {
	return &memory{held: map[key]*list.Element{}, order: list.New(), most: size}
}

func (k *kept) size() int { return keptCost + len(k.positions) + stepSize*cap(k.steps) }

// keep holds positions, and returns the same key for the same ones.
func (m *memory) keep(positions []position) key {
	data := appendPositions(nil, positions)
	sum := sha256.Sum256(data)
	return m.add(&kept{key: key(sum[:16]), positions: data})
}

// begin holds positions that steps are going to follow.
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

// step adds one, and returns how many there have been; 0 where the place was
// given up meanwhile.
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

// fold applies the oldest steps to the positions.
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

// get returns the positions after so many steps.
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

// grow makes room by giving up what was not used for longest, but for the last
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
