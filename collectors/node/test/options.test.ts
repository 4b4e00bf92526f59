import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { isDisabled, OptionError, readOptions } from "../src/options.ts";
import { targetOf } from "../src/otlp-options.ts";

describe("the agent's options", () => {
  it("have defaults that fit a laptop", () => {
    expect(readOptions({})).toMatchObject({
      endpoint: "http://127.0.0.1:4318",
      exportIntervalSeconds: 10,
      traces: true,
      traceRatio: 0.01,
      serviceName: "unknown_service:node",
    });
  });

  it("come from our variables first, then from OpenTelemetry's", () => {
    const options = readOptions({
      TIDEMARK_ENDPOINT: "http://ingest:4318",
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318",
      OTEL_RESOURCE_ATTRIBUTES: "service.name=shop,deployment.environment.name=a%20b",
      TIDEMARK_TRACES: "0",
    });
    expect(options).toMatchObject({ endpoint: "http://ingest:4318", serviceName: "shop", traces: false });
    expect(options.resourceAttributes["deployment.environment.name"]).toBe("a b");
    expect(readOptions({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" }).endpoint).toBe(
      "http://collector:4318",
    );
  });

  it.each([
    [{ TIDEMARK_EXPORT_INTERVAL: "soon" }, /TIDEMARK_EXPORT_INTERVAL .*"soon"/],
    [{ TIDEMARK_EXPORT_INTERVAL: "0" }, /exportIntervalSeconds .* got 0/],
    [{ TIDEMARK_ENDPOINT: "ingest" }, /endpoint .*"ingest"/],
    [{ TIDEMARK_FLUSH_SIGNALS: "SIGTERM,SIGKILL" }, /TIDEMARK_FLUSH_SIGNALS must name some of SIGTERM.*"SIGKILL"/],
    [{ OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: "grpc://x" }, /signals\.logs\.url .*"grpc:/],
    [{ OTEL_EXPORTER_OTLP_TIMEOUT: "0" }, /timeoutSeconds .* got 0/],
    [{ OTEL_METRIC_EXPORT_INTERVAL: "soon" }, /OTEL_METRIC_EXPORT_INTERVAL .*"soon"/],
    [{ TIDEMARK_PROFILE: "high" }, /profile must be off or low, got "high"/],
    [{ TIDEMARK_TRACE_RATIO: "2" }, /traceRatio .* got 2/],
  ])("name what cannot be used: %o", (environment, message) => {
    expect(() => readOptions(environment)).toThrow(OptionError);
    expect(() => readOptions(environment)).toThrow(message);
  });

  it("switch the agent off by either variable", () => {
    expect(isDisabled({ TIDEMARK_DISABLED: "1" })).toBe(true);
    expect(isDisabled({ OTEL_SDK_DISABLED: "true" })).toBe(true);
    expect(isDisabled({ TIDEMARK_DISABLED: "0" })).toBe(false);
    expect(isDisabled({})).toBe(false);
  });

  it("take OpenTelemetry's times in milliseconds, its samplers, and no traces for an exporter of none", () => {
    const options = readOptions({
      OTEL_METRIC_EXPORT_INTERVAL: "2500",
      OTEL_EXPORTER_OTLP_TIMEOUT: "3000",
      OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
      OTEL_TRACES_SAMPLER_ARG: "0.25",
      OTEL_TRACES_EXPORTER: "none",
    });
    const expected = { exportIntervalSeconds: 2.5, timeoutSeconds: 3, traceRatio: 0.25, traces: false };
    expect(options).toMatchObject(expected);
    expect(readOptions({ OTEL_TRACES_SAMPLER: "always_on" }).traceRatio).toBe(1);
    expect(readOptions({ OTEL_TRACES_SAMPLER: "always_off" }).traceRatio).toBe(0);
    expect(readOptions({ OTEL_TRACES_SAMPLER: "jaeger_remote" }).traceRatio).toBe(0.01);
    const ours = { TIDEMARK_EXPORT_INTERVAL: "7", TIDEMARK_TRACE_RATIO: "0.5", TIDEMARK_TRACES: "1" };
    const both = {
      OTEL_METRIC_EXPORT_INTERVAL: "2500",
      OTEL_TRACES_SAMPLER: "always_on",
      OTEL_TRACES_EXPORTER: "none",
    };
    expect(readOptions({ ...ours, ...both })).toMatchObject({
      exportIntervalSeconds: 7,
      traceRatio: 0.5,
      traces: true,
    });
  });

  it("send each signal where, with what and for how long OpenTelemetry's variables say", () => {
    const theirs = {
      OTEL_EXPORTER_OTLP_ENDPOINT: "https://collector:4318/base/",
      OTEL_EXPORTER_OTLP_HEADERS: "x-team=a,x-all=1",
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://traces:9/anything",
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: "x-team=b",
      OTEL_EXPORTER_OTLP_LOGS_TIMEOUT: "1500",
    };
    const options = readOptions(theirs);
    expect(targetOf(options, "metrics")).toEqual({
      url: "https://collector:4318/base/v1/metrics",
      headers: { "x-team": "a", "x-all": "1" },
      timeoutMs: 10_000,
    });
    expect(targetOf(options, "traces")).toMatchObject({
      url: "http://traces:9/anything",
      headers: { "x-team": "b", "x-all": "1" },
    });
    expect(targetOf(options, "logs").timeoutMs).toBe(1500);
    // An endpoint of ours, and one given in code, are for all signals.
    const ours = readOptions({ ...theirs, TIDEMARK_ENDPOINT: "http://ingest:4318" });
    expect(targetOf(ours, "traces").url).toBe("http://ingest:4318/v1/traces");
    const inCode = readOptions(theirs, { endpoint: "http://ingest:4318" });
    expect(targetOf(inCode, "traces").url).toBe("http://ingest:4318/v1/traces");
  });

  it("are all on the page of the package, and the page names no other", () => {
    const named = (text: string) => new Set(text.match(/\b(TIDEMARK|OTEL)_[A-Z][A-Z_]*[A-Z]\b/g));
    const read = named(
      ["options.ts", "otlp-options.ts"]
        .map((file) => readFileSync(new URL(`../src/${file}`, import.meta.url), "utf8"))
        .join(),
    );
    read.delete("OTEL_EXPORTER_OTLP"); // what those of one signal begin with
    const told = named(readFileSync(new URL("../README.md", import.meta.url), "utf8"));
    expect([...read].filter((name) => !told.has(name))).toEqual([]);
    const ofOneSignal = /^OTEL_EXPORTER_OTLP_(METRICS|TRACES|LOGS)_|^OTEL_EXPORTER_OTLP_PROTOCOL$/;
    const elsewhere = /^TIDEMARK_TEST_NODES$/;
    const unread = [...told].filter((name) => !read.has(name) && !ofOneSignal.test(name) && !elsewhere.test(name));
    expect(unread).toEqual([]);
  });
});
