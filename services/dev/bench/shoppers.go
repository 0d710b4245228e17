package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// shopper is a persistent connection that buys, one purchase at a time, with as little
// work of its own as possible.
type shopper struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
}

func newShopper(ctx context.Context, addr string, number int) (*shopper, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	body := fmt.Sprintf(`{"username":"Shopper %d","userid":"shopper-%d","price":19.99}`, number, number)
	return &shopper{
		conn: conn, reader: bufio.NewReader(conn),
		request: fmt.Appendf(nil, "POST /api/v1/buy HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
	}, nil
}

// buy returns an error unless the purchase is acknowledged.
func (s *shopper) buy() error {
	if err := s.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return fmt.Errorf("buying: %w", err)
	}
	if _, err := s.conn.Write(s.request); err != nil {
		return fmt.Errorf("buying: %w", err)
	}
	response, err := http.ReadResponse(s.reader, nil)
	if err != nil {
		return fmt.Errorf("buying: %w", err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return fmt.Errorf("buying: %w", err)
	}
	if response.StatusCode != http.StatusAccepted {
		return fmt.Errorf("buying: %s", response.Status)
	}
	return nil
}

// connected returns n shoppers. leave closes their connections.
func connected(ctx context.Context, addr string, n int) (shoppers []*shopper, leave func(), err error) {
	leave = func() {
		for _, s := range shoppers {
			_ = s.conn.Close()
		}
	}
	for i := range n {
		s, err := newShopper(ctx, addr, i)
		if err != nil {
			leave()
			return nil, nil, err
		}
		shoppers = append(shoppers, s)
	}
	return shoppers, leave, nil
}

// together lets shoppers act at the same time, and returns when all have finished.
func together(shoppers []*shopper, act func(number int, s *shopper) error) error {
	errs := make([]error, len(shoppers))
	var wg sync.WaitGroup
	for i, s := range shoppers {
		wg.Go(func() { errs[i] = act(i, s) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// buyOnce buys on a new connection.
func buyOnce(ctx context.Context, addr string) error {
	s, err := newShopper(ctx, addr, 0)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	return s.buy()
}

// closedLoop buys for a time on n connections, each as fast as it is answered.
func closedLoop(ctx context.Context, addr string, n int, duration time.Duration) (buys int64, took time.Duration, err error) {
	shoppers, leave, err := connected(ctx, addr, n)
	if err != nil {
		return 0, 0, err
	}
	defer leave()
	var count atomic.Int64
	began := time.Now()
	err = together(shoppers, func(_ int, s *shopper) error {
		for time.Since(began) < duration && ctx.Err() == nil {
			if err := s.buy(); err != nil {
				return err
			}
			count.Add(1)
		}
		return nil
	})
	return count.Load(), time.Since(began), err
}

// openLoop buys count times at a steady rate, and returns the latencies in milliseconds. Each
// is counted from when the purchase was due, so that a stall counts for all that it delays.
func openLoop(ctx context.Context, addr string, n, count, perSecond int) ([]float64, error) {
	shoppers, leave, err := connected(ctx, addr, n)
	if err != nil {
		return nil, err
	}
	defer leave()
	latencies := make([]float64, count)
	began := time.Now()
	err = together(shoppers, func(number int, s *shopper) error {
		for i := number; i < count && ctx.Err() == nil; i += n {
			due := began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
			time.Sleep(time.Until(due))
			if err := s.buy(); err != nil {
				return err
			}
			latencies[i] = time.Since(due).Seconds() * 1000
		}
		return nil
	})
	return latencies, err
}
