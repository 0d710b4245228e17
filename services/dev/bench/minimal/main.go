// Command minimal opens the clients that the services use and does nothing with them: how
// small a program with them can be. With -tags database it opens MongoDB's too.
package main

import (
	"log"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	if err := open(); err != nil {
		log.Fatal(err)
	}
}

func open() error {
	producer, err := kafka.NewProducer(&kafka.ConfigMap{})
	if err != nil {
		return err
	}
	defer producer.Close()
	consumer, err := kafka.NewConsumer(&kafka.ConfigMap{"group.id": "minimal"})
	if err != nil {
		return err
	}
	defer consumer.Close()
	direct, err := kgo.NewClient()
	if err != nil {
		return err
	}
	kadm.NewClient(direct).Close()
	if err := openDatabase(); err != nil {
		return err
	}
	engine := gin.New()
	engine.GET("/metrics", gin.WrapH(promhttp.Handler()))
	return engine.Run()
}
