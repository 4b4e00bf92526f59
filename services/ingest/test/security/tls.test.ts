import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type RequestOptions, request } from "node:https";
import { join } from "node:path";
import { type ConnectionOptions, connect } from "node:tls";
import { credentials, status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { completeConfig } from "../../src/index.ts";
import { TlsFiles } from "../../src/security/tls-files.ts";
import { temporaryDirectory, until } from "../processes.ts";
import { Authority } from "./certificates.ts";
import { metrics, TestIngest } from "./ingest.ts";

let folder: Awaited<ReturnType<typeof temporaryDirectory>>;
let authority: Authority;
let stranger: Authority;
let server: { certificate: string; key: string };
let other: { certificate: string; key: string };
let client: { certificate: string; key: string };
let ingest: TestIngest | undefined;

beforeAll(async () => {
  folder = await temporaryDirectory();
  authority = new Authority(folder.path);
  stranger = new Authority(folder.path, "stranger");
  server = authority.issue("server");
  other = authority.issue("other");
  client = authority.issue("client");
});
afterEach(async () => {
  await ingest?.close();
  ingest = undefined;
});
afterAll(() => folder.remove());

const tls = () => ({ tlsCertFile: server.certificate, tlsKeyFile: server.key });

/** Status of a request over TLS; throws what the handshake says. */
function post(options: RequestOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/x-protobuf" };
    const sent = request(
      { host: "localhost", port: ingest!.port, path: "/v1/metrics", method: "POST", headers, agent: false, ...options },
      (reply) => {
        reply.resume();
        resolve(reply.statusCode ?? 0);
      },
    );
    sent.on("error", reject);
    sent.end(metrics());
  });
}

/** Serial number and protocol of what a port answers a handshake with. */
function handshake(port: number, options: ConnectionOptions = {}): Promise<{ serial: string; protocol: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      port,
      host: "localhost",
      ca: authority.pem,
      ALPNProtocols: ["h2", "http/1.1"],
      ...options,
    });
    socket.once("secureConnect", () => {
      resolve({ serial: socket.getPeerCertificate().serialNumber, protocol: socket.getProtocol() ?? "" });
      socket.destroy();
    });
    socket.once("error", reject);
  });
}

describe("with a certificate", () => {
  test("both ports speak TLS to who trusts its authority, and to nobody in plain text", async () => {
    ingest = await TestIngest.start(tls());
    expect(await post({ ca: authority.pem })).toBe(200);
    const secure = ingest.client(credentials.createSsl(authority.pem));
    expect((await ingest.call(undefined, metrics(), secure)).code).toBe(status.OK);
    await expect(post({ ca: stranger.pem })).rejects.toThrow(/certificate/);
    const strange = ingest.client(credentials.createSsl(stranger.pem));
    expect((await ingest.call(undefined, metrics(), strange)).code).toBe(status.UNAVAILABLE);
    await expect(ingest.post(undefined)).rejects.toThrow();
    expect((await ingest.call(undefined)).code).toBe(status.UNAVAILABLE);
  });

  test("both ports offer TLS 1.3 and 1.2 and nothing older", async () => {
    ingest = await TestIngest.start(tls());
    for (const port of [ingest.port, ingest.grpcPort]) {
      expect((await handshake(port)).protocol).toBe("TLSv1.3");
      expect((await handshake(port, { maxVersion: "TLSv1.2" })).protocol).toBe("TLSv1.2");
      const old: ConnectionOptions = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" };
      await expect(handshake(port, old)).rejects.toThrow();
      await expect(handshake(port, { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA" })).rejects.toThrow();
    }
  });

  test("a certificate that is exchanged in its files is the next connection's, without a restart", async () => {
    const [certificate, key] = [join(folder.path, "live.pem"), join(folder.path, "live.key")];
    copyFileSync(server.certificate, certificate);
    copyFileSync(server.key, key);
    ingest = await TestIngest.start({ tlsCertFile: certificate, tlsKeyFile: key }, { reloadIntervalMs: 50 });
    const ports = [ingest.port, ingest.grpcPort];
    const serials = () => Promise.all(ports.map(async (port) => (await handshake(port)).serial));
    const before = await serials();
    expect(new Set(before).size).toBe(1);
    copyFileSync(other.key, key);
    copyFileSync(other.certificate, certificate);
    await until("the new certificate", async () => (await serials()).every((serial) => serial !== before[0]), 10_000);
    // A file that cannot be used leaves what was there.
    const now = await serials();
    writeFileSync(certificate, "no certificate");
    await ingest.app.reload();
    expect(await serials()).toEqual(now);
    const { payload } = await ingest.app.inject({ url: "/metrics" });
    expect(payload).toMatch(/tidemark_ingest_reload_failures_total\{file="tls"\} [1-9]/);
  });

  test("a connection that never finishes its handshake is ended", async () => {
    ingest = await TestIngest.start({ ...tls(), headerTimeoutSeconds: 0.2 });
    const { closed } = ingest.socket();
    await until("the connection to be ended", closed, 5_000);
  });
});

describe("with an authority for senders", () => {
  test("only who shows its certificate is served, over HTTP and gRPC", async () => {
    ingest = await TestIngest.start({ ...tls(), tlsClientCaFile: authority.path });
    const [cert, key] = [readFileSync(client.certificate), readFileSync(client.key)];
    expect(await post({ ca: authority.pem, cert, key })).toBe(200);
    await expect(post({ ca: authority.pem })).rejects.toThrow();
    const trusted = ingest.client(credentials.createSsl(authority.pem, key, cert));
    expect((await ingest.call(undefined, metrics(), trusted)).code).toBe(status.OK);
    const nobody = ingest.client(credentials.createSsl(authority.pem));
    expect((await ingest.call(undefined, metrics(), nobody)).code).toBe(status.UNAVAILABLE);
    const strange = stranger.issue("strange-client");
    const wrong = { cert: readFileSync(strange.certificate), key: readFileSync(strange.key) };
    await expect(post({ ca: authority.pem, ...wrong })).rejects.toThrow();
  });
});

describe("says what is wrong", () => {
  test("with a file, by its variable and path", async () => {
    const refusal = (certificate: string, key: string, clientCa?: string) =>
      TlsFiles.open({ certificate, key, clientCa }).then(String, ({ message }: Error) => message);
    const nothing = join(folder.path, "nothing.pem");
    expect(await refusal(nothing, server.key)).toMatch(/^TIDEMARK_TLS_CERT_FILE: .*nothing\.pem ENOENT/);
    expect(await refusal(server.certificate, nothing)).toMatch(/^TIDEMARK_TLS_KEY_FILE: .*ENOENT/);
    expect(await refusal(server.certificate, other.key)).toMatch(/is not the key of the certificate in .*server\.pem/);
    expect(await refusal(server.key, server.key)).toMatch(/^TIDEMARK_TLS_CERT_FILE: .*is not usable/);
    expect(await refusal(server.certificate, server.certificate)).toMatch(/^TIDEMARK_TLS_KEY_FILE: .*is not usable/);
    expect(await refusal(server.certificate, server.key, server.key)).toMatch(/^TIDEMARK_TLS_CLIENT_CA_FILE: /);
  });

  test("with settings that need each other", () => {
    expect(() => completeConfig({ tlsCertFile: "a" })).toThrow("needs TIDEMARK_TLS_KEY_FILE");
    expect(() => completeConfig({ tlsClientCaFile: "a" })).toThrow("TIDEMARK_TLS_CLIENT_CA_FILE: needs");
  });

  test("before a certificate expires, and after", async () => {
    const files = await TlsFiles.open({ ...server, clientCa: undefined });
    const { expiresAt } = files.material;
    expect(files.expiry(expiresAt - 15 * 86_400_000)).toBeUndefined();
    expect(files.expiry(expiresAt - 86_400_000)).toContain("expires at");
    expect(files.expiry(expiresAt + 1)).toContain("expired at");
  });
});

test("files that have gone stop the start", async () => {
  const gone = authority.issue("gone");
  rmSync(gone.key);
  await expect(TestIngest.start({ tlsCertFile: gone.certificate, tlsKeyFile: gone.key })).rejects.toThrow("ENOENT");
});
