package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// program is a service, and the minimal program that has the same clients.
type program struct{ service, minimal string }

func programs() []program {
	return []program{
		{"web-server", "minimal"}, {"management-api", "minimal-database"}, {"api", "minimal"}, {"producer", "minimal"}, {"consumer", "minimal"},
	}
}

// weighing compares the sizes of programs without symbols, as they are in an image.
func weighing(stripped string) []comparison {
	of := func(name string) entrant {
		return func(context.Context) (sample, error) {
			info, err := os.Stat(filepath.Join(stripped, name))
			if err != nil {
				return sample{}, fmt.Errorf("reading the size of a program (make bin/bench): %w", err)
			}
			return sample{Size: float64(info.Size()) / 1e6}, nil
		}
	}
	var all []comparison
	for _, p := range programs() {
		all = append(all, comparison{
			name: p.service, peerName: "a program that opens the same clients", rounds: 1,
			ours: of(p.service), peer: of(p.minimal), goals: []goal{{"size without symbols", "MB", size, atMost, 1.2}},
		})
	}
	return all
}

// atRest reads the memory of a program that has started, and stops it.
func atRest(p *process) (sample, error) {
	time.Sleep(2 * time.Second) // what the start has left is collected
	used, err := p.status("VmRSS")
	own, ownErr := p.status("RssAnon")
	return sample{Memory: used, Own: own}, errors.Join(err, ownErr, p.stop())
}

// idling compares the memory of each service while there is nothing to do with that of the minimal program, once it has
// written a record and read it. Without symbols it is less: the pages of a program that have been read count too.
func (s *stage) idling(stripped, sink string) []comparison {
	var all []comparison
	for _, p := range programs() {
		all = append(all, comparison{
			name: p.service + " at rest", peerName: "a program that opens the same clients", rounds: 3,
			ours: func(ctx context.Context) (sample, error) {
				var topics [3]string
				for i := range topics {
					topic, drop, err := s.topic(ctx, "idle")
					if err != nil {
						return sample{}, err
					}
					defer drop()
					topics[i] = topic
				}
				image := *s
				image.bin = stripped
				p, err := image.service(ctx, p.service, podMemoryLimit, podArenas, "TOPIC="+topics[0], "ORDERS_TOPIC="+topics[0], "PURCHASES_TOPIC="+topics[0],
					"ORDERS_DLQ_TOPIC="+topics[1], "PURCHASES_DLQ_TOPIC="+topics[1], "TOTALS_TOPIC="+topics[2],
					"GROUP_ID="+topics[0], "TRANSACTIONAL_ID="+topics[0], "MONGO_URI="+sink, "MANAGEMENT_API_URL=http://127.0.0.1:1")
				if err != nil {
					return sample{}, err
				}
				addr, err := p.serving()
				if err == nil {
					err = ready(ctx, addr)
				}
				if err != nil {
					return sample{}, err
				}
				return atRest(p)
			},
			peer: s.toTopic("idle", func(topic string) entrant {
				return func(ctx context.Context) (sample, error) {
					q, err := start(ctx, filepath.Join(stripped, p.minimal), []string{"GIN_MODE=release"}, s.servers, topic, sink)
					if err != nil {
						return sample{}, err
					}
					if _, err := q.line(); err != nil {
						return sample{}, err
					}
					return atRest(q)
				}
			}),
			goals: []goal{{"memory", "MiB", memory, atMost, 1.2}, {"of it not pages of a file", "MiB", own, atMost, 1.25}},
		})
	}
	return all
}
