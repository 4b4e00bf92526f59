// Decodes OTLP requests the way an OpenTelemetry Collector and the first half of its ClickHouse exporter do: protobuf to
// pdata, and from there every data point or span to a flat row with its attributes as a map of strings. What comes after
// it in a Collector (building columns, compressing, inserting) is left out, in its favour.
//
// Run by decode.bench.ts: `go-pdata <directory>` reads lines "<shape> <milliseconds>" and answers each with one line
// "<units> <CPU seconds>"; the request of a shape is the file <directory>/<shape>.bin.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// row is what every exporter needs of a data point: names, times and the three attribute maps.
type row struct {
	resource, scope, attributes map[string]string
	service, name, unit         string
	start, time                 time.Time
	flags                       uint32
	value, sum, min, max        float64
	count, zero                 uint64
	bounds                      []float64
	buckets, negative           []uint64
	offset, negativeOffset      int32
	scale                       int32
}

type spanRow struct {
	resource, attributes                map[string]string
	traceID, spanID, parent, state      string
	name, kind, service                 string
	scope, version, status, description string
	time                                time.Time
	duration                            uint64
	eventTimes                          []time.Time
	eventNames                          []string
	eventAttributes                     []map[string]string
	linkTraces, linkSpans, linkStates   []string
	linkAttributes                      []map[string]string
}

var (
	rows     []row
	spanRows []spanRow
)

func flatten(attributes pcommon.Map) map[string]string {
	flat := make(map[string]string, attributes.Len())
	for key, value := range attributes.All() {
		flat[key] = value.AsString()
	}
	return flat
}

func metrics(body []byte) int {
	request := pmetricotlp.NewExportRequest()
	if err := request.UnmarshalProto(body); err != nil {
		panic(err)
	}
	rows = rows[:0]
	for _, rm := range request.Metrics().ResourceMetrics().All() {
		resource := flatten(rm.Resource().Attributes())
		service := resource["service.name"]
		for _, sm := range rm.ScopeMetrics().All() {
			scope := flatten(sm.Scope().Attributes())
			for _, metric := range sm.Metrics().All() {
				base := row{resource: resource, scope: scope, service: service, name: metric.Name(), unit: metric.Unit()}
				switch metric.Type() {
				case pmetric.MetricTypeGauge:
					for _, point := range metric.Gauge().DataPoints().All() {
						r := base
						r.attributes = flatten(point.Attributes())
						r.start, r.time = point.StartTimestamp().AsTime(), point.Timestamp().AsTime()
						r.flags, r.value = uint32(point.Flags()), point.DoubleValue()
						rows = append(rows, r)
					}
				case pmetric.MetricTypeHistogram:
					for _, point := range metric.Histogram().DataPoints().All() {
						r := base
						r.attributes = flatten(point.Attributes())
						r.start, r.time = point.StartTimestamp().AsTime(), point.Timestamp().AsTime()
						r.flags, r.count, r.sum = uint32(point.Flags()), point.Count(), point.Sum()
						r.min, r.max = point.Min(), point.Max()
						r.bounds, r.buckets = point.ExplicitBounds().AsRaw(), point.BucketCounts().AsRaw()
						rows = append(rows, r)
					}
				case pmetric.MetricTypeExponentialHistogram:
					for _, point := range metric.ExponentialHistogram().DataPoints().All() {
						r := base
						r.attributes = flatten(point.Attributes())
						r.start, r.time = point.StartTimestamp().AsTime(), point.Timestamp().AsTime()
						r.flags, r.count, r.sum = uint32(point.Flags()), point.Count(), point.Sum()
						r.min, r.max, r.scale, r.zero = point.Min(), point.Max(), point.Scale(), point.ZeroCount()
						r.offset, r.buckets = point.Positive().Offset(), point.Positive().BucketCounts().AsRaw()
						r.negativeOffset, r.negative = point.Negative().Offset(), point.Negative().BucketCounts().AsRaw()
						rows = append(rows, r)
					}
				}
			}
		}
	}
	return len(rows)
}

func traces(body []byte) int {
	request := ptraceotlp.NewExportRequest()
	if err := request.UnmarshalProto(body); err != nil {
		panic(err)
	}
	spanRows = spanRows[:0]
	for _, rs := range request.Traces().ResourceSpans().All() {
		resource := flatten(rs.Resource().Attributes())
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				traceID, spanID, parent := span.TraceID(), span.SpanID(), span.ParentSpanID()
				r := spanRow{
					resource: resource, attributes: flatten(span.Attributes()), service: resource["service.name"],
					traceID: hex.EncodeToString(traceID[:]), spanID: hex.EncodeToString(spanID[:]),
					state: span.TraceState().AsRaw(), name: span.Name(), kind: span.Kind().String(),
					scope: ss.Scope().Name(), version: ss.Scope().Version(),
					status: span.Status().Code().String(), description: span.Status().Message(),
					time: span.StartTimestamp().AsTime(), duration: uint64(span.EndTimestamp() - span.StartTimestamp()),
				}
				if !parent.IsEmpty() {
					r.parent = hex.EncodeToString(parent[:])
				}
				for _, event := range span.Events().All() {
					r.eventTimes = append(r.eventTimes, event.Timestamp().AsTime())
					r.eventNames = append(r.eventNames, event.Name())
					r.eventAttributes = append(r.eventAttributes, flatten(event.Attributes()))
				}
				for _, link := range span.Links().All() {
					linkTrace, linkSpan := link.TraceID(), link.SpanID()
					r.linkTraces = append(r.linkTraces, hex.EncodeToString(linkTrace[:]))
					r.linkSpans = append(r.linkSpans, hex.EncodeToString(linkSpan[:]))
					r.linkStates = append(r.linkStates, link.TraceState().AsRaw())
					r.linkAttributes = append(r.linkAttributes, flatten(link.Attributes()))
				}
				spanRows = append(spanRows, r)
			}
		}
	}
	return len(spanRows)
}

// cpu is the user and system time of this process, garbage collection included, in seconds.
func cpu() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go-pdata <directory>")
		os.Exit(2)
	}
	bodies := map[string][]byte{}
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		var shape string
		var milliseconds int
		if _, err := fmt.Sscan(input.Text(), &shape, &milliseconds); err != nil {
			panic(err)
		}
		body, known := bodies[shape]
		if !known {
			var err error
			if body, err = os.ReadFile(filepath.Join(os.Args[1], filepath.Base(shape)+".bin")); err != nil {
				panic(err)
			}
			bodies[shape] = body
		}
		decode := metrics
		if shape == "spans" {
			decode = traces
		}
		units, before := 0, cpu()
		until := time.Now().Add(time.Duration(milliseconds) * time.Millisecond)
		for time.Now().Before(until) {
			units += decode(body)
		}
		fmt.Println(units, cpu()-before)
	}
}
