package kafkax_test

import (
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"shopstream/services/internal/kafkax"
)

func TestLag(t *testing.T) {
	partition := func(more string) string {
		return `{"topics":{"t":{"partitions":{"0":{"partition":0,` + more + `}}}}}`
	}
	tests := map[string]struct{ statistics, want string }{
		"an offset is stored":   {partition(`"fetch_state":"active","consumer_lag_stored":5,"lo_offset":0,"hi_offset":9`), "5"},
		"all is done":           {partition(`"fetch_state":"active","consumer_lag_stored":0,"lo_offset":0,"hi_offset":9`), "0"},
		"none is stored yet":    {partition(`"fetch_state":"active","consumer_lag_stored":-1,"lo_offset":2,"hi_offset":9`), "7"},
		"nothing is known yet":  {partition(`"fetch_state":"offset-query","consumer_lag_stored":-1,"lo_offset":-1001,"hi_offset":-1001`), ""},
		"it is another's":       {partition(`"fetch_state":"none","consumer_lag_stored":5,"lo_offset":0,"hi_offset":9`), ""},
		"it went to another":    {partition(`"fetch_state":"stopped","consumer_lag_stored":5,"lo_offset":0,"hi_offset":9`), ""},
		"the client's own line": {`{"topics":{"t":{"partitions":{"-1":{"partition":-1,"fetch_state":"none","consumer_lag_stored":-1}}}}}`, ""},
		"no statistics at all":  {`oops`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			kafkax.NewLag(reg).Observe(tt.statistics)
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, f := range families {
				for _, m := range f.GetMetric() {
					got += strconv.FormatFloat(m.GetGauge().GetValue(), 'f', -1, 64)
				}
			}
			if got != tt.want {
				t.Errorf("lag = %q, want %q", got, tt.want)
			}
		})
	}
}
