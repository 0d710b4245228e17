package otlp

import (
	"context"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// Spans with all that a span can have are the same as OpenTelemetry's own exporter sends.
func TestEncodedAsByOpenTelemetry(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	limits := sdk.NewSpanLimits()
	limits.EventCountLimit, limits.LinkCountLimit, limits.AttributeCountLimit = 2, 2, 5
	limits.AttributePerEventCountLimit, limits.AttributePerLinkCountLimit = 1, 1
	spans := sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder), sdk.WithResource(resourceOf("shop")), sdk.WithRawSpanLimits(limits)).Tracer("shopstream")

	state, err := trace.ParseTraceState("vendor=value")
	if err != nil {
		t.Fatal(err)
	}
	caller := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{3}, TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true,
	})
	two := trace.WithAttributes(attribute.String("one", "1"), attribute.Int("two", 2))
	ctx, parent := spans.Start(trace.ContextWithRemoteSpanContext(t.Context(), caller), "POST /buy", trace.WithSpanKind(trace.SpanKindServer))
	for range 3 {
		parent.AddEvent("retry", two)
		parent.AddLink(trace.Link{SpanContext: caller, Attributes: []attribute.KeyValue{attribute.String("one", "1"), attribute.Int("two", 2)}})
	}
	for i, kind := range []trace.SpanKind{trace.SpanKindInternal, trace.SpanKindClient, trace.SpanKindProducer, trace.SpanKindConsumer} {
		_, child := spans.Start(ctx, strings.Repeat("long ", 60*i), trace.WithSpanKind(kind)) // lengths of one byte and two
		child.SetAttributes(attribute.String("text", ""), attribute.Int("minus", -1), attribute.Int("zero", 0), attribute.Bool("no", false),
			attribute.Float64("half", .5), attribute.String("one too many", ""))
		child.SetStatus([]codes.Code{codes.Unset, codes.Ok, codes.Error, codes.Error}[i], "said")
		child.End()
	}
	parent.End()

	ended := recorder.Ended()
	if len(ended) != 5 || ended[4].DroppedEvents() != 1 || ended[4].DroppedLinks() != 1 || ended[0].DroppedAttributes() != 1 {
		t.Fatalf("%d spans, or nothing that was dropped", len(ended))
	}
	var own keptRequest
	if err := otlptrace.NewUnstarted(&own).ExportSpans(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	var encoded tracepb.TracesData
	if err := proto.Unmarshal(encode(ended), &encoded); err != nil {
		t.Fatal(err)
	}
	if want := (&tracepb.TracesData{ResourceSpans: own.spans}); !proto.Equal(&encoded, want) {
		t.Errorf("encoded\n%s\nwant\n%s", prototext.Format(&encoded), prototext.Format(want))
	}
}

// keptRequest is a client that keeps what it should send.
type keptRequest struct {
	otlptrace.Client
	spans []*tracepb.ResourceSpans
}

func (k *keptRequest) UploadTraces(_ context.Context, spans []*tracepb.ResourceSpans) error {
	k.spans = spans
	return nil
}
