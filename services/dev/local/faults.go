package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/lifecycle"
	"shopstream/services/internal/mongox"
	"shopstream/services/internal/retry"
)

// faults breaks the platform on request, so that people see what happens then, and checks
// at the end that nothing acknowledged is lost.
type faults struct {
	children []*child
	kafka    *embedded // nil if an external one is used
	mongo    *embedded // nil if an external one is used
	servers  string    // of Kafka
	shoppers *shoppers
	log      *slog.Logger

	// verdict is what the audit found to be wrong. It is read after all actors have ended.
	verdict error

	mu     sync.Mutex
	unslow func() // ends the slowness of the consumer; nil if it isn't slow
}

// slowService is the consumer that can be slowed down.
const slowService = "management-api"

var errUnknownFault = errors.New("no such fault")

// names lists the faults that can be injected here.
func (f *faults) names() []string {
	names := []string{"shoppers"}
	for _, c := range f.children {
		names = append(names, "kill "+c.name)
	}
	if f.mongo != nil {
		names = append(names, "database")
	}
	if f.kafka != nil {
		names = append(names, "broker")
	}
	return append(names, "slow", "poison")
}

// label says what a button does now: faults that last are ended by a second press.
func (f *faults) label(name string) string {
	toggle := func(on bool, start, end string) string {
		if on {
			return end
		}
		return start
	}
	switch name {
	case "shoppers":
		return toggle(f.shoppers.running(), "Let shoppers buy", "Stop the shoppers")
	case "database":
		return toggle(!f.mongo.running(), "Stop the database", "Start the database")
	case "broker":
		return toggle(!f.kafka.running(), "Stop the broker", "Start the broker")
	case "slow":
		return toggle(f.isSlow(), "Slow "+slowService+" down", "End its slowness")
	case "poison":
		return "Send poison records"
	}
	return strings.ToUpper(name[:1]) + name[1:] // kill …
}

// press does what the button of a fault says.
func (f *faults) press(ctx context.Context, name string) error {
	if !slices.Contains(f.names(), name) {
		return fmt.Errorf("%w: %q is none of %s", errUnknownFault, name, strings.Join(f.names(), ", "))
	}
	f.log.Info("fault", "what", f.label(name))
	switch name {
	case "shoppers":
		if f.shoppers.running() {
			f.shoppers.off()
			return nil
		}
		f.shoppers.on()
		return nil
	case "database":
		return toggled(f.mongo)
	case "broker":
		return toggled(f.kafka)
	case "slow":
		f.toggleSlow()
		return nil
	case "poison":
		return f.poison(ctx)
	}
	for _, c := range f.children {
		if name == "kill "+c.name {
			return c.signal(syscall.SIGKILL)
		}
	}
	return nil
}

func toggled(e *embedded) error {
	if e.running() {
		e.off()
		return nil
	}
	return e.on()
}

// poison sends records that no consumer can accept.
func (f *faults) poison(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(f.servers, ",")...))
	if err != nil {
		return fmt.Errorf("sending poison records: %w", err)
	}
	defer client.Close()
	var records []*kgo.Record
	for i := range 10 {
		for _, topic := range []string{"purchases", "orders"} {
			records = append(records, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "poison %d", i)})
		}
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("sending poison records: %w", err)
	}
	return nil
}

func (f *faults) isSlow() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unslow != nil
}

// toggleSlow lets the consumer run for a tenth of the time, or ends that.
func (f *faults) toggleSlow() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unslow != nil {
		f.unslow()
		f.unslow = nil
		return
	}
	i := slices.IndexFunc(f.children, func(c *child) bool { return c.name == slowService })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = f.children[i].signal(syscall.SIGSTOP) // it may be restarting
			retry.Sleep(ctx, 900*time.Millisecond)
			_ = f.children[i].signal(syscall.SIGCONT)
			retry.Sleep(ctx, 100*time.Millisecond)
		}
	}()
	f.unslow = func() { cancel(); <-done }
}

// mend ends every fault that lasts, and the shopping.
func (f *faults) mend() error {
	if f.isSlow() {
		f.toggleSlow()
	}
	var err error
	for _, e := range []*embedded{f.kafka, f.mongo} {
		if e != nil {
			err = errors.Join(err, e.on())
		}
	}
	f.shoppers.off()
	return err
}

// mender ends the faults, before any service is stopped.
func (f *faults) mender() lifecycle.Actor {
	return lifecycle.Actor{Name: "faults", Run: waiting, Stop: func(context.Context) {
		if err := f.mend(); err != nil {
			f.log.Error("ending the faults", "error", err)
		}
	}}
}

// auditor checks, after the shop has drained and before what stores its purchases does,
// that each acknowledged one is stored.
func (f *faults) auditor(hurry context.Context, cfg mongox.Config, bound time.Duration) lifecycle.Actor {
	return lifecycle.Actor{Name: "audit", Run: waiting, Stop: func(ctx context.Context) {
		acknowledged := f.shoppers.acknowledged()
		if len(acknowledged) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, bound)
		defer cancel()
		defer context.AfterFunc(hurry, cancel)()
		f.log.Info("audit: waiting until each acknowledged purchase is stored", "acknowledged", len(acknowledged))
		missing, err := audit(ctx, cfg, acknowledged)
		switch {
		case err != nil:
			f.verdict = fmt.Errorf("audit of %d acknowledged purchases: %w", len(acknowledged), err)
		case len(missing) > 0:
			f.verdict = fmt.Errorf("audit: of %d acknowledged purchases %d are not stored after %s, such as %s", len(acknowledged), len(missing), bound, missing[0])
		default:
			f.log.Info("audit: acknowledged = stored", "purchases", len(acknowledged))
		}
	}}
}

func waiting(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
