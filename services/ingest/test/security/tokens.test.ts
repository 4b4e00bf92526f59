import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { completeConfig } from "../../src/index.ts";
import { createToken, hashToken, readTokens, revokeToken } from "../../src/security/tokens.ts";
import { until } from "../processes.ts";
import { metrics, tokensFolder } from "./ingest.ts";

const folder = tokensFolder();

describe("the tokens file", () => {
  test("holds no token, only hashes, and is readable by its owner only", async () => {
    const token = await createToken(folder.file, { name: "shop" });
    expect(token).toMatch(/^tdm_[\w-]{43}$/);
    const text = readFileSync(folder.file, "utf8");
    expect(text).not.toContain(token.slice(4));
    expect(text).toContain(hashToken(token).toString("hex"));
    expect(statSync(folder.file).mode & 0o777).toBe(0o600);
  });

  test("keeps what it has when a token is added or revoked", async () => {
    await createToken(folder.file, { name: "shop", services: ["shop-*"], limits: { requestsPerSecond: 5 } });
    await createToken(folder.file, { name: "blog" });
    await expect(createToken(folder.file, { name: "shop" })).rejects.toThrow("has a token shop already");
    await revokeToken(folder.file, "blog");
    expect((await readTokens(folder.file)).map(({ name, services, limits }) => ({ name, services, limits }))).toEqual([
      { name: "shop", services: ["shop-*"], limits: { requestsPerSecond: 5 } },
    ]);
    await expect(revokeToken(folder.file, "blog")).rejects.toThrow("has no token blog");
  });

  test("is refused with a sentence that says what is wrong in it", async () => {
    const refusal = async (text: string) => {
      writeFileSync(folder.file, text);
      return readTokens(folder.file).then(String, ({ message }: Error) => message.replace(folder.file, "FILE"));
    };
    const entry = { name: "a", sha256: "0".repeat(64), created: "2026-01-01" };
    expect(await refusal("{")).toBe("The tokens file FILE: is not JSON");
    expect(await refusal(JSON.stringify({ tokens: [{ ...entry, sha256: "x" }] }))).toContain("/tokens/0/sha256");
    expect(await refusal(JSON.stringify({ tokens: [{ ...entry, limit: {} }] }))).toContain("/tokens/0");
    expect(await refusal(JSON.stringify({ tokens: [entry, entry] }))).toContain("names a twice");
    expect(await refusal(JSON.stringify({ tokens: [{ ...entry, name: "default" }] }))).toContain("TIDEMARK_TOKEN");
    expect(await refusal(JSON.stringify({ tokens: [{ ...entry, expires: "soon" }] }))).toContain("expires is no date");
    await expect(readTokens(join(folder.path, "none.json"))).rejects.toThrow("ENOENT");
  });
});

describe("who may send", () => {
  test("a source's token, and TIDEMARK_TOKEN, over HTTP and gRPC; nobody else, and no hash", async () => {
    const token = await createToken(folder.file, { name: "shop" });
    const ingest = await folder.start({ tokensFile: folder.file, token: "the-one-token" });
    for (const good of [token, "the-one-token"]) {
      expect((await ingest.post(good)).status).toBe(200);
      expect((await ingest.call(good)).code).toBe(status.OK);
    }
    const hash = hashToken(token).toString("hex");
    for (const bad of [undefined, "", "wrong", `${token}x`, token.slice(0, -1), hash, "x".repeat(4000)]) {
      expect((await ingest.post(bad)).status, bad).toBe(401);
      expect((await ingest.call(bad)).code, bad).toBe(status.UNAUTHENTICATED);
    }
    expect(await ingest.metric('tidemark_ingest_source_requests_total{source="shop"}')).toBe(2);
    expect(await ingest.metric('tidemark_ingest_source_requests_total{source="default"}')).toBe(2);
    expect(await ingest.metric("tidemark_ingest_unauthorized_total")).toBe(14);
  });

  test("a token that has expired is refused", async () => {
    const token = await createToken(folder.file, { name: "shop", expires: "2026-06-01T00:00:00Z" });
    let now = Date.parse("2026-05-31T23:59:59Z");
    const ingest = await folder.start({ tokensFile: folder.file }, { now: () => now });
    expect((await ingest.post(token)).status).toBe(200);
    now += 1000;
    expect((await ingest.post(token)).status).toBe(401);
  });

  test("a token for some services sends for those; a request with any other is refused as a whole", async () => {
    const token = await createToken(folder.file, { name: "shop", services: ["shop", "shop-*"] });
    const ingest = await folder.start({ tokensFile: folder.file });
    expect((await ingest.post(token, metrics("shop-basket"))).status).toBe(200);
    const refused = await ingest.post(token, Buffer.concat([metrics("shop"), metrics("bank")]));
    expect(refused.status).toBe(403);
    expect(Buffer.from(await refused.arrayBuffer()).toString("latin1")).toContain("TDM_INGEST_SERVICE_NOT_ALLOWED");
    expect((await ingest.call(token, metrics("bank"))).code).toBe(status.PERMISSION_DENIED);
    expect(await ingest.metric("tidemark_ingest_acknowledged_points_total")).toBe(1);
  });

  test("everybody on the loopback when there is no token at all, and nobody elsewhere", async () => {
    const ingest = await folder.start();
    expect((await ingest.post(undefined)).status).toBe(200);
    expect(await ingest.metric('tidemark_ingest_source_requests_total{source="default"}')).toBe(1);
    expect(() => completeConfig({ host: "0.0.0.0" })).toThrow("TIDEMARK_TOKEN");
    expect(completeConfig({ host: "0.0.0.0", tokensFile: folder.file }).tokensFile).toBe(folder.file);
  });

  test("nobody, when the file has no tokens", async () => {
    writeFileSync(folder.file, '{"tokens":[]}');
    const ingest = await folder.start({ tokensFile: folder.file });
    expect((await ingest.post(undefined)).status).toBe(401);
    expect((await ingest.post("")).status).toBe(401);
  });

  test("does not depend on the number of tokens: one digest is looked up", async () => {
    const entry = (i: number) => ({ name: `s${i}`, sha256: hashToken(`t${i}`).toString("hex"), created: "2026-01-01" });
    writeFileSync(folder.file, JSON.stringify({ tokens: Array.from({ length: 2000 }, (_, i) => entry(i)) }));
    const ingest = await folder.start({ tokensFile: folder.file });
    expect((await ingest.post("t1999")).status).toBe(200);
    expect((await ingest.post("t2000")).status).toBe(401);
  });
});

test("/metrics names services and sources: from another machine it takes a token, the health checks do not", async () => {
  const token = await createToken(folder.file, { name: "shop" });
  const ingest = await folder.start({ tokensFile: folder.file });
  const from = (url: string, remoteAddress: string, authorization = "") =>
    ingest.app.inject({ url, remoteAddress, headers: { authorization } }).then(({ statusCode }) => statusCode);
  expect(await from("/metrics", "127.0.0.1")).toBe(200);
  expect(await from("/metrics", "192.0.2.1")).toBe(401);
  expect(await from("/metrics", "192.0.2.1", `Bearer ${token}`)).toBe(200);
  expect(await from("/healthz", "192.0.2.1")).toBe(200);
});

describe("without a restart", () => {
  test("a changed file is seen: a new token is taken, a revoked one refused", async () => {
    const first = await createToken(folder.file, { name: "first" });
    const ingest = await folder.start({ tokensFile: folder.file }, { reloadIntervalMs: 50 });
    const second = await createToken(folder.file, { name: "second" });
    await until("the new token to be taken", async () => (await ingest.post(second)).status === 200);
    expect((await ingest.post(first)).status).toBe(200);
    await revokeToken(folder.file, "first");
    await until("the revoked token to be refused", async () => (await ingest.post(first)).status === 401);
    expect((await ingest.post(second)).status).toBe(200);
  });

  test("a file that breaks leaves the tokens as they were, and is counted", async () => {
    const token = await createToken(folder.file, { name: "shop" });
    const ingest = await folder.start({ tokensFile: folder.file }, { reloadIntervalMs: 3_600_000 });
    writeFileSync(folder.file, "{ half a file");
    await ingest.app.reload();
    expect((await ingest.post(token)).status).toBe(200);
    expect(await ingest.metric('tidemark_ingest_reload_failures_total{file="tokens"}')).toBe(1);
  });

  test("a file that is broken at the start stops it", async () => {
    writeFileSync(folder.file, "{");
    await expect(folder.start({ tokensFile: folder.file })).rejects.toThrow("is not JSON");
  });
});
