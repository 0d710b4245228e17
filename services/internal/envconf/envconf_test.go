package envconf_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"shopstream/services/internal/envconf"
)

type server struct {
	Addr string `env:"HTTP_ADDR" envDefault:":8081" doc:"Listen address."`
}

func (s server) Validate() error {
	if !strings.Contains(s.Addr, ":") {
		return fmt.Errorf("HTTP_ADDR %q has no port", s.Addr)
	}
	return nil
}

type config struct {
	HTTP     server
	Brokers  string         `env:"BROKERS,required,notEmpty" doc:"Where Kafka is."`
	Rate     int            `env:"RATE" envDefault:"5" doc:"Events per second."`
	Interval time.Duration  `env:"INTERVAL" envDefault:"5s" doc:"Pause."`
	Token    envconf.Secret `env:"TOKEN" doc:"Bearer token."`
}

func (c config) Validate() error {
	if c.Rate < 0 {
		return errors.New("RATE must not be negative")
	}
	return nil
}

func TestLoadFillsDefaults(t *testing.T) {
	cfg, err := envconf.Load[config]([]string{"BROKERS=localhost:9092", "TOKEN=s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.HTTP.Addr != ":8081" || cfg.Rate != 5 || cfg.Interval != 5*time.Second {
		t.Errorf("defaults not applied: %+v", cfg)
	}
	if cfg.Token.Reveal() != "s3cret" {
		t.Errorf("token = %q", cfg.Token.Reveal())
	}
}

func TestLoadReportsEveryFault(t *testing.T) {
	tests := map[string]struct {
		environ []string
		want    []string
	}{
		"missing and malformed together": {
			environ: []string{"RATE=many", "INTERVAL=5"},
			want:    []string{"BROKERS is required: Where Kafka is.", "RATE must be a whole number", "INTERVAL must be a duration"},
		},
		"rules of the parts and of the whole together": {
			environ: []string{"BROKERS=b:9092", "HTTP_ADDR=8081", "RATE=-1"},
			want:    []string{`HTTP_ADDR "8081" has no port`, "RATE must not be negative"},
		},
		"what can't be read and what breaks a rule together": {
			environ: []string{"HTTP_ADDR=8081", "RATE=-1", "INTERVAL=5"},
			want:    []string{"BROKERS is required", "INTERVAL must be a duration", `HTTP_ADDR "8081" has no port`, "RATE must not be negative"},
		},
		"empty instead of default": {
			environ: []string{"BROKERS=b:9092", "RATE="},
			want:    []string{"RATE is set but empty"},
		},
		"empty required": {
			environ: []string{"BROKERS="},
			want:    []string{"BROKERS must not be empty"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := envconf.Load[config](tt.environ)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestARuleAboutAnUnreadableValueIsLeftOut(t *testing.T) {
	type config struct {
		Count countOfMany
	}
	_, err := envconf.Load[config]([]string{"COUNT=many"})
	if err == nil || !strings.Contains(err.Error(), "COUNT must be a whole number") || strings.Contains(err.Error(), "at least") {
		t.Errorf("err = %v", err)
	}
}

type countOfMany struct {
	Count int `env:"COUNT" envDefault:"1" doc:"How many."`
}

func (c countOfMany) Validate() error {
	if c.Count < 1 {
		return errors.New("COUNT must be at least 1")
	}
	return nil
}

func TestSecretIsNeverPrinted(t *testing.T) {
	s := envconf.Secret("s3cret")
	text, _ := s.MarshalText()
	for _, printed := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s", s, s, s, s), fmt.Sprintf("%+v", config{Token: s}), string(text)} {
		if strings.Contains(printed, "s3cret") {
			t.Errorf("secret printed: %s", printed)
		}
	}
}

func TestDescribe(t *testing.T) {
	got := envconf.Describe[config]()
	if len(got) != 5 || got[0].Name != "HTTP_ADDR" || got[1].Name != "BROKERS" {
		t.Fatalf("fields = %+v", got)
	}
	if !got[1].Required || !got[4].Secret || got[3].Type != "duration" || got[2].Default != "5" {
		t.Errorf("fields = %+v", got)
	}
}
