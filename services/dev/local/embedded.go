package main

import (
	"fmt"
	"sync"
)

// embedded is a server in this process that can be stopped and started again, with the
// same address and data. Safe for concurrent use.
type embedded struct {
	name  string
	start func() (stop func(), err error)

	mu   sync.Mutex
	stop func() // nil while it is stopped
}

// on starts it, unless it runs.
func (e *embedded) on() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stop != nil {
		return nil
	}
	stop, err := e.start()
	if err != nil {
		return fmt.Errorf("starting the %s: %w", e.name, err)
	}
	e.stop = stop
	return nil
}

// off stops it, unless it is stopped.
func (e *embedded) off() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stop != nil {
		e.stop()
		e.stop = nil
	}
}

func (e *embedded) running() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stop != nil
}
