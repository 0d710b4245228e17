package main

import (
	"testing"
	"time"
)

// A batch of 1,000 a second is a rate of 1,000, wherever in a batch the looks begin and end.
func TestARateIsCountedBetweenBatches(t *testing.T) {
	var e edges
	began := time.Now()
	for look := range 36 {
		at := time.Duration(look) * 100 * time.Millisecond
		e.see(5000+1000*int((at+300*time.Millisecond)/time.Second), began.Add(at))
	}
	if got := e.rate(); got != 1000 {
		t.Errorf("rate = %v, want 1000", got)
	}
}

func TestOneBatchIsNoRate(t *testing.T) {
	var e edges
	for look, n := range []int{1000, 1000, 2000, 2000} {
		e.see(n, time.Unix(int64(look), 0))
	}
	if got := e.rate(); got != 0 {
		t.Errorf("rate = %v", got)
	}
}
