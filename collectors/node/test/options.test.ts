import { describe, expect, it } from "vitest";
import { isDisabled, OptionError, readOptions } from "../src/options.ts";

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
});
