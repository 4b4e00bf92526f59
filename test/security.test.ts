import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Agent, request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { collect, entryOf, PYTHON, ROOT, startTidemark, type Tidemark, until } from "./support/tidemark.ts";

const MAIN = entryOf("tidemark");

const NO_BUNDLES = { REQUESTS_CA_BUNDLE: "", CURL_CA_BUNDLE: "" };

let directory: string;
let tidemark: Tidemark;
let tokensFile: string;
const at = (name: string) => join(directory, name);

function token(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, "token", ...args, "--file", tokensFile], { encoding: "utf8" });
}

/** A private authority and a certificate of its own for localhost. */
function makeCertificates(): void {
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl("req", "-x509", ...key, "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=private");
  openssl("req", ...key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server");
  writeFileSync(at("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  const signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "1"];
  openssl("x509", "-req", "-in", "server.csr", "-out", "server.pem", ...signing);
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "tidemark-security-"));
  tokensFile = at("tokens.json");
  makeCertificates();
  expect(token("create", "first").status).toBe(0);
  tidemark = await startTidemark(["--no-viewer", "--no-alerts"], {
    TIDEMARK_TLS_CERT_FILE: at("server.pem"),
    TIDEMARK_TLS_KEY_FILE: at("server.key"),
    TIDEMARK_TOKENS_FILE: tokensFile,
  });
});
afterAll(async () => {
  await tidemark?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** Runs an application with a stock SDK that sends over TLS; returns its exit code and what it said. */
async function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<[unknown, string]> {
  const child = spawn(command, args, {
    cwd: ROOT,
    // Python's requests takes these bundles, where they are set, before the exporter's own.
    env: { ...process.env, ...NO_BUNDLES, OTEL_LOGS_EXPORTER: "none", OTEL_METRICS_EXPORTER: "otlp", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = collect(child);
  const code = await new Promise((resolve) => child.once("exit", resolve));
  return [code, output()];
}

/** Status of an empty request with this token. */
async function statusOf(secret: string): Promise<number> {
  const dispatcher = new Agent({ connect: { ca: readFileSync(at("ca.pem")) } });
  const headers = { "content-type": "application/x-protobuf", authorization: `Bearer ${secret}` };
  const url = `${tidemark.otlp.replace("http://127.0.0.1", "https://localhost")}/v1/metrics`;
  const { statusCode, body } = await request(url, { method: "POST", headers, dispatcher });
  await body.dump();
  await dispatcher.close();
  return statusCode;
}

const stored = (service: string) =>
  tidemark.query<{ n: number }>(
    `SELECT toUInt32(count()) AS n FROM metrics WHERE metric = 'stock.orders' AND service = '${service}'`,
  );

describe.each([
  { sdk: "Node", command: process.execPath, args: [`${ROOT}test/apps/stock-node.mjs`] },
  { sdk: "Python", command: PYTHON, args: [`${ROOT}test/apps/stock_python.py`] },
])("the stock OpenTelemetry SDK for $sdk over TLS with a private authority", ({ sdk, command, args }) => {
  it("is stored with a token made while the service runs, and not without one", async () => {
    const made = token("create", sdk.toLowerCase(), "--services", `tls-${sdk.toLowerCase()}`, "--expires", "1d");
    expect(made.status, made.stderr).toBe(0);
    const secret = made.stdout.trim();
    expect(readFileSync(tokensFile, "utf8")).not.toContain(secret);
    const service = `tls-${sdk.toLowerCase()}`;
    const env = {
      OTEL_SERVICE_NAME: service,
      OTEL_EXPORTER_OTLP_ENDPOINT: tidemark.otlp.replace("http://127.0.0.1", "https://localhost"),
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
      OTEL_EXPORTER_OTLP_CERTIFICATE: at("ca.pem"),
    };
    await until("the token to be taken", async () => (await statusOf(secret)) === 200);
    const wrong = await run(command, args, { ...env, OTEL_EXPORTER_OTLP_HEADERS: "Authorization=Bearer%20wrong" });
    expect(wrong[1]).toMatch(/unauthorized/i);
    const [code, output] = await run(command, args, {
      ...env,
      OTEL_EXPORTER_OTLP_HEADERS: `Authorization=Bearer%20${secret}`,
    });
    expect(code, output).toBe(0);
    await until("what it sent", async () => (await stored(service))[0]!.n === 1, 15_000);
  });
});

describe("tidemark token", () => {
  it("lists sources with what they may do, and no token", () => {
    const { stdout } = token("list");
    expect(stdout).toMatch(/^NAME +CREATED +EXPIRES +SERVICES +LIMITS$/m);
    expect(stdout).toMatch(/^first +\d{4}-\d\d-\d\d +never +all *$/m);
    expect(stdout).not.toContain("tdm_");
  });

  it("revokes, and says what is wrong where it cannot do what it is told", () => {
    expect(token("revoke", "first").status).toBe(0);
    expect(token("revoke", "first")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("has no token first"),
    });
    expect(token("create", "Bad Name")).toMatchObject({ status: 1, stderr: expect.stringContaining("/name") });
    expect(token("create", "a", "--expires", "soon").stderr).toContain("--expires soon: expected days as in 90d");
    expect(token("create", "a", "--requests-per-second", "-1").stderr).toContain("expected a number above 0");
    expect(token("list").stdout).not.toMatch(/^(first|a) /m);
  });
});
