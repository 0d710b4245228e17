package main

import (
	"cmp"
	"fmt"
	"slices"
)

// A picture is laid out in layers, along the flow of the data: from left to right on a
// wide screen, from top to bottom on a phone. The parts that flows connect stay together;
// what isn't connected follows below. A flow that skips layers passes each of them in a
// place of its own, so that it crosses no box.

// shape is how a layout looks: which way it goes, and its measures in pixels.
type shape struct {
	down             bool // the layers go from top to bottom
	width            int  // of the whole
	boxW, boxH       int  // of a part
	layerGap         int  // between boxes of neighbouring layers; along the width it follows from the width
	placeGap         int  // between boxes of one layer
	gap              int  // between unconnected parts
	marginX, marginY int  // to the left and right, and above and below
}

var (
	wideShape   = shape{width: 1340, boxW: 172, boxH: 78, placeGap: 26, gap: 30, marginX: 2, marginY: 6}
	narrowShape = shape{down: true, width: 372, boxW: 172, boxH: 78, layerGap: 58, placeGap: 20, gap: 34, marginX: 2, marginY: 6}
)

// layout is where everything is.
type layout struct {
	Width, Height int
	Boxes         []box  // by part
	Wires         []wire // by flow
}

// box is a part's rectangle.
type box struct{ X, Y, W, H int }

// wire is a flow's line, and where its text is centred.
type wire struct {
	Path   string // of SVG
	TX, TY int
	// Beside is set if the text is beside the line, and begins at TX.
	Beside bool
}

// slot is one place of a layer: a part's, or one where a flow passes.
type slot struct {
	part, flow int // the other one is -1
	order      float64
}

// lay lays a picture out. The picture has passed its check.
func (p *picture) lay(s shape) layout {
	height := p.heights()
	deepest := slices.Max(append([]int{0}, height...))
	result := layout{Width: s.width, Boxes: make([]box, len(p.Parts)), Wires: make([]wire, len(p.Flows))}
	across := s.marginY // how far the components so far reach, across the flow on a wide screen
	for _, members := range p.components() {
		top := deepest
		if s.down { // nothing is to the left of a component that has fewer layers, but something is above it
			top = 0
			for _, i := range members {
				top = max(top, height[i])
			}
		}
		layers := p.layers(members, height, top)
		across = p.put(&result, s, layers, across) + s.gap
	}
	result.Height = across - s.gap + s.marginY
	return result
}

// heights returns how many flows lead on from each part at most.
func (p *picture) heights() []int {
	height := make([]int, len(p.Parts))
	for range p.Parts { // more often than there are layers
		for _, f := range p.Flows {
			from, to := p.index(f.From), p.index(f.To)
			height[from] = max(height[from], height[to]+1)
		}
	}
	return height
}

// components returns the parts that flows connect, the largest component first.
func (p *picture) components() [][]int {
	of := make([]int, len(p.Parts))
	for i := range of {
		of[i] = i
	}
	for range p.Parts {
		for _, f := range p.Flows {
			from, to := p.index(f.From), p.index(f.To)
			first := min(of[from], of[to])
			of[from], of[to] = first, first
		}
	}
	var all [][]int
	for first := range p.Parts {
		var members []int
		for i, c := range of {
			if c == first {
				members = append(members, i)
			}
		}
		if len(members) > 0 {
			all = append(all, members)
		}
	}
	slices.SortStableFunc(all, func(a, b []int) int { return cmp.Compare(len(b), len(a)) })
	return all
}

// layers returns the places of each layer, ordered so that few flows cross: each place
// stands near the mean of those it is connected with.
func (p *picture) layers(members []int, height []int, top int) [][]slot {
	layers := make([][]slot, top+1)
	for _, i := range members {
		at := top - height[i]
		layers[at] = append(layers[at], slot{part: i, flow: -1})
	}
	for f, fl := range p.Flows {
		from, to := p.index(fl.From), p.index(fl.To)
		if !slices.Contains(members, from) {
			continue
		}
		for at := top - height[from] + 1; at < top-height[to]; at++ {
			layers[at] = append(layers[at], slot{part: -1, flow: f})
		}
	}
	for range 4 {
		for at := 1; at < len(layers); at++ {
			p.order(layers[at-1], layers[at], true)
		}
		for at := len(layers) - 2; at >= 0; at-- {
			p.order(layers[at+1], layers[at], false)
		}
	}
	return layers
}

// order sorts a layer by what it is connected with in a neighbouring one.
func (p *picture) order(fixed, layer []slot, forward bool) {
	for i := range layer {
		sum, n := 0.0, 0
		for at, other := range fixed {
			before, after := other, layer[i]
			if !forward {
				before, after = after, before
			}
			if p.connected(before, after) {
				sum, n = sum+(float64(at)+.5)/float64(len(fixed)), n+1
			}
		}
		layer[i].order = (float64(i) + .5) / float64(len(layer))
		if n > 0 {
			layer[i].order = sum / float64(n)
		}
	}
	slices.SortStableFunc(layer, func(a, b slot) int { return cmp.Compare(a.order, b.order) })
}

// connected reports whether a flow leads from one place to another in the next layer.
func (p *picture) connected(before, after slot) bool {
	for f, fl := range p.Flows {
		leaves := before.flow == f || before.part >= 0 && p.Parts[before.part].Name == fl.From
		arrives := after.flow == f || after.part >= 0 && p.Parts[after.part].Name == fl.To
		if leaves && arrives {
			return true
		}
	}
	return false
}

// put gives the places of one component their coordinates, and returns where it ends.
func (p *picture) put(result *layout, s shape, layers [][]slot, begin int) int {
	most := 1
	for _, layer := range layers {
		most = max(most, len(layer))
	}
	boxes := make([]box, len(p.Flows)) // where a flow passes; one that skips several layers is drawn through the first
	for at, layer := range layers {
		for i, place := range layer {
			b := s.box(at, len(layers), i, len(layer), most, begin)
			if place.part >= 0 {
				result.Boxes[place.part] = b
			} else if boxes[place.flow].W == 0 {
				boxes[place.flow] = b
			}
		}
	}
	for f, fl := range p.Flows {
		from := p.index(fl.From)
		if !slices.ContainsFunc(slices.Concat(layers...), func(place slot) bool { return place.part == from }) {
			continue
		}
		result.Wires[f] = s.wire(result.Boxes[from], boxes[f], result.Boxes[p.index(fl.To)])
	}
	if s.down {
		return begin + len(layers)*s.boxH + (len(layers)-1)*s.layerGap
	}
	return begin + most*s.boxH + (most-1)*s.placeGap
}

// box returns the i-th of n boxes in a layer whose component has most boxes in a layer.
func (s shape) box(layer, layers, i, n, most, begin int) box {
	if s.down {
		w := min(s.boxW, (s.width-2*s.marginX-(most-1)*s.placeGap)/most)
		row := n*w + (n-1)*s.placeGap
		return box{X: (s.width-row)/2 + i*(w+s.placeGap), Y: begin + layer*(s.boxH+s.layerGap), W: w, H: s.boxH}
	}
	pitch := (s.width - 2*s.marginX - s.boxW) / max(layers-1, 1)
	column := n*s.boxH + (n-1)*s.placeGap
	whole := most*s.boxH + (most-1)*s.placeGap
	return box{X: s.marginX + layer*pitch, Y: begin + (whole-column)/2 + i*(s.boxH+s.placeGap), W: s.boxW, H: s.boxH}
}

// wire returns the line between two boxes, through a third if that is not empty.
func (s shape) wire(from, through, to box) wire {
	if s.down {
		x1, y1, x2, y2 := from.X+from.W/2, from.Y+from.H, to.X+to.W/2, to.Y
		if through.W == 0 {
			mid := (y1 + y2) / 2
			return wire{Path: fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x1, mid, x2, mid, x2, y2-arrow), TX: (x1+x2)/2 + beside(x1, x2), TY: mid, Beside: x1 == x2}
		}
		x, top, bottom := through.X+through.W/2, through.Y, through.Y+through.H
		first, second := (y1+top)/2, (bottom+y2)/2
		return wire{
			Path: fmt.Sprintf("M%d %dC%d %d %d %d %d %dV%dC%d %d %d %d %d %d", x1, y1, x1, first, x, first, x, top, bottom, x, second, x2, second, x2, y2-arrow),
			TX:   x, TY: (top + bottom) / 2,
		}
	}
	x1, y1, x2, y2 := from.X+from.W, from.Y+from.H/2, to.X, to.Y+to.H/2
	if through.W == 0 {
		mid := (x1 + x2) / 2
		return wire{Path: fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, mid, y1, mid, y2, x2-arrow, y2), TX: mid, TY: (y1 + y2) / 2}
	}
	y, left, right := through.Y+through.H/2, through.X, through.X+through.W
	first, second := (x1+left)/2, (right+x2)/2
	return wire{
		Path: fmt.Sprintf("M%d %dC%d %d %d %d %d %dH%dC%d %d %d %d %d %d", x1, y1, first, y1, first, y, left, y, right, second, y, second, y2, x2-arrow, y2),
		TX:   (left + right) / 2, TY: y,
	}
}

// arrow is the room that the head of an arrow needs before a box.
const arrow = 2

// beside returns how far the text of a straight line downwards stands beside it.
func beside(x1, x2 int) int {
	if x1 == x2 {
		return 10
	}
	return 0
}
