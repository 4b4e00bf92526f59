import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readOptions } from "../src/options.ts";
import { type AgentProcess, addressOf, runWithAgent, until } from "./agent-process.ts";
import { type Sink, startSink } from "./otlp-sink.ts";

describe("an endpoint with a certificate of a private authority", () => {
  const directory = mkdtempSync(join(tmpdir(), "node-agent-tls-"));
  const certificate = join(directory, "certificate.pem");
  const processes: AgentProcess[] = [];
  let sink: Sink;
  const run = async (environment: Record<string, string>) => {
    const app = runWithAgent("traced.mjs", sink.url, { TIDEMARK_TRACE_RATIO: "1", ...environment });
    processes.push(app);
    const url = await addressOf(app);
    await fetch(`${url}/chain/1`).then((response) => response.text());
    return app;
  };

  beforeAll(async () => {
    const key = join(directory, "key.pem");
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
    const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
    execFileSync("openssl", ["req", "-x509", ...curve, ...names, "-keyout", key, "-out", certificate], {
      stdio: "pipe",
    });
    sink = await startSink(() => 200, { cert: readFileSync(certificate), key: readFileSync(key) });
  });
  afterAll(async () => {
    await Promise.all(processes.map((app) => app.stop()));
    await sink.close();
    rmSync(directory, { recursive: true });
  });

  it("gets nothing from an agent that does not know the authority, and the service serves on", async () => {
    const app = await run({});
    const url = await addressOf(app);
    let refused = 0;
    sink.onTlsError(() => {
      refused += 1;
    });
    await until("exports were refused", () => refused >= 2);
    expect((await fetch(`${url}/chain/2`)).status).toBe(200);
    expect([sink.points, sink.spans, app.output().stderr]).toEqual([[], [], ""]);
    await app.stop();
  });

  it("gets metrics and spans where OTEL_EXPORTER_OTLP_CERTIFICATE names it", async () => {
    await run({ OTEL_EXPORTER_OTLP_CERTIFICATE: certificate });
    await until("metrics", () => sink.points.length > 0);
    await until("spans", () => sink.spans.length > 0);
  });

  it("leaves the agent off where the file cannot be read", () => {
    const environment = { OTEL_EXPORTER_OTLP_CERTIFICATE: join(directory, "missing.pem") };
    expect(() => readOptions(environment)).toThrow(/OTEL_EXPORTER_OTLP_CERTIFICATE must name a file.*missing\.pem/);
  });
});
