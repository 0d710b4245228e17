// Command minimal opens the clients that the services use, writes a record, reads it, and then only answers /metrics: how small a
// program with them can be, on disk and in memory. With -tags database it opens MongoDB's too.
//
//	minimal SERVERS TOPIC MONGO_URI
package main

import (
	"fmt"
	"log"
	"net"
	"os"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: minimal SERVERS TOPIC MONGO_URI")
	}
	if err := open(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func open(servers, topic, uri string) error {
	producer, err := kafka.NewProducer(&kafka.ConfigMap{"bootstrap.servers": servers})
	if err != nil {
		return err
	}
	defer producer.Close()
	consumer, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": servers, "group.id": topic, "auto.offset.reset": "earliest"})
	if err != nil {
		return err
	}
	defer consumer.Close()
	direct, err := kgo.NewClient()
	if err != nil {
		return err
	}
	kadm.NewClient(direct).Close()
	if err := openDatabase(uri); err != nil {
		return err
	}
	if err := consumer.Subscribe(topic, nil); err != nil {
		return err
	}
	record := kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: kafka.PartitionAny}, Value: []byte("one")}
	if err := producer.Produce(&record, nil); err != nil {
		return err
	}
	if _, err := consumer.ReadMessage(-1); err != nil {
		return err
	}
	engine := gin.New()
	engine.GET("/metrics", gin.WrapH(promhttp.Handler()))
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it doesn't wait
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return engine.RunListener(listener)
}
