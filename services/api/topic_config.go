package main

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/httpx"
)

// setting is one setting of a topic as GET /topics/{topic}/config shows it.
type setting struct {
	Name      string  `json:"name"`
	Value     *string `json:"value"`     // null if sensitive, or unset
	Source    string  `json:"source"`    // Kafka's name, such as DYNAMIC_TOPIC_CONFIG
	IsDefault bool    `json:"isDefault"` // not configured: Kafka's own default applies
	Sensitive bool    `json:"sensitive"`
	// Inherited is what would apply without the topic's own value, in the units of its
	// own name; null if there is none, or Kafka doesn't say.
	Inherited *inherited `json:"inherited"`
}

// inherited is a broker's setting, such as log.retention.hours.
type inherited struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// topicConfig answers GET /topics/{topic}/config.
func (s *server) topicConfig(c *gin.Context) {
	topic := c.Param("topic")
	if !topicName.MatchString(topic) {
		httpx.Abort(c, http.StatusBadRequest, "invalid path", httpx.FieldError{Field: "topic", Detail: topicRule})
		return
	}
	if !s.shows(c, topic) {
		return
	}
	s.list(c, func(ctx context.Context) (any, error) { return s.cluster.topicConfig(ctx, topic) })
}

func (c *cluster) topicConfig(ctx context.Context, topic string) ([]setting, error) {
	var found kadm.ResourceConfig
	err := c.ask(ctx, "describing the configuration of "+topic, func(ctx context.Context) error {
		answers, err := c.admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return err
		}
		found, err = answers.On(topic, nil)
		return cmp.Or(err, found.Err)
	})
	if err != nil {
		return nil, err
	}
	settings := []setting{}
	for _, entry := range found.Configs {
		own := setting{
			Name: entry.Key, Value: entry.Value, Sensitive: entry.Sensitive,
			Source: entry.Source.String(), IsDefault: entry.Source == kmsg.ConfigSourceDefaultConfig,
		}
		if entry.Source == kmsg.ConfigSourceDynamicTopicConfig {
			// By precedence, the topic's own value first.
			for _, synonym := range entry.Synonyms {
				if synonym.Source != kmsg.ConfigSourceDynamicTopicConfig && synonym.Value != nil {
					own.Inherited = &inherited{synonym.Key, *synonym.Value}
					break
				}
			}
		}
		settings = append(settings, own)
	}
	slices.SortFunc(settings, func(a, b setting) int { return cmp.Compare(a.Name, b.Name) })
	return settings, nil
}
