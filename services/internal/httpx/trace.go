package httpx

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	oteltrace "go.opentelemetry.io/otel/trace"

	"shopstream/services/internal/trace"
)

// Trace gives requests a span, which continues the caller's trace if it names one. If it
// names none, the request begins a trace only if begins is set. A service behind another
// doesn't: the one before it has decided, and names only traces that it records. Trace
// applies to the routes that are added later, so not to the operational ones.
func Trace(engine *gin.Engine, tracer *trace.Tracer, begins bool) {
	if !tracer.On() {
		return
	}
	engine.Use(func(c *gin.Context) {
		if c.FullPath() == "" { // no such route
			return
		}
		r := c.Request
		ctx := r.Context()
		if r.Header.Get("traceparent") != "" {
			ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
		}
		parent := oteltrace.SpanContextFromContext(ctx)
		if !parent.IsSampled() && (!begins || !tracer.Records(parent)) {
			return
		}
		method := methodOf(r)
		ctx, span := tracer.Start(ctx, boundedMethod(method)+" "+c.FullPath(), oteltrace.WithSpanKind(oteltrace.SpanKindServer))
		// It stays the request's context, so that the log line and the exemplar, which
		// come after the handlers, have the trace.
		c.Request = r.WithContext(ctx)
		finished := false
		defer func() {
			status := c.Writer.Status()
			if !finished { // by a panic, which is answered later
				status = http.StatusInternalServerError
			}
			endWith(span, status, status >= http.StatusInternalServerError,
				semconv.HTTPRequestMethodKey.String(method), semconv.HTTPRoute(c.FullPath()),
				semconv.URLPath(r.URL.Path), semconv.URLScheme("http"), semconv.ServerAddress(r.Host),
				semconv.UserAgentOriginal(r.UserAgent()))
		}()
		c.Next()
		finished = true
	})
}

// Do sends a request as client does. If the request belongs to a recorded trace, so
// does the call, and what the server does.
func Do(tracer *trace.Tracer, client *http.Client, r *http.Request) (*http.Response, error) {
	if !tracer.On() || !oteltrace.SpanContextFromContext(r.Context()).IsSampled() {
		return client.Do(r)
	}
	ctx, span := tracer.Start(r.Context(), r.Method, oteltrace.WithSpanKind(oteltrace.SpanKindClient))
	attributes := []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(r.Method), semconv.URLFull(r.URL.Redacted()), semconv.ServerAddress(r.URL.Hostname()),
	}
	r = r.WithContext(ctx)
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(r.Header))
	response, err := client.Do(r)
	if err != nil {
		span.SetAttributes(append(attributes, semconv.ErrorType(err))...)
		span.SetStatus(codes.Error, err.Error())
		span.End()
		return nil, err
	}
	endWith(span, response.StatusCode, response.StatusCode >= http.StatusBadRequest, attributes...)
	return response, nil
}

// endWith sets all attributes at once: the SDK copies those that it has with every call.
func endWith(span oteltrace.Span, status int, failed bool, attributes ...attribute.KeyValue) {
	attributes = append(attributes, semconv.HTTPResponseStatusCode(status))
	if failed {
		attributes = append(attributes, semconv.ErrorTypeKey.String(strconv.Itoa(status)))
		span.SetStatus(codes.Error, "")
	}
	span.SetAttributes(attributes...)
	span.End()
}
