import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { defaultPython, labServices } from "../src/demo-services.ts";
import { type Postgres, startPostgres } from "../src/postgres/server.ts";
import { isAlive } from "../src/postgres/stale.ts";
import { freePorts, processTree, type RunningService, startService, startServices } from "./processes.ts";

let postgres: Postgres;
let services: RunningService[];

async function commands(databaseUrl: string, eventsDatabaseUrl: string) {
  const [nodePort, djangoPort, asgiPort] = (await freePorts(3)) as [number, number, number];
  // The agents have tests of their own; these are about the services, which run without them too.
  return labServices({
    ...{ python: defaultPython(), agents: false, nodePort, djangoPort, asgiPort },
    ...{ databaseUrl, eventsDatabaseUrl },
  });
}

beforeAll(async () => {
  postgres = await startPostgres();
  services = await startServices(await commands(postgres.databaseUrl, postgres.eventsDatabaseUrl));
});

afterAll(async () => {
  await Promise.all((services ?? []).map((service) => service.stop()));
  await postgres?.stop();
});

interface Answer {
  status: number;
  type: string;
  body: unknown;
}

async function ask(service: RunningService, path: string, init?: RequestInit): Promise<Answer> {
  const response = await fetch(service.url + path, init);
  const type = response.headers.get("content-type")?.split(";", 1)[0] ?? "";
  const text = await response.text();
  return { status: response.status, type, body: type === "application/json" && text ? JSON.parse(text) : text };
}

/** The answer all three services agree on. */
async function agreed(path: string, init?: RequestInit): Promise<Answer> {
  const [node, ...others] = await Promise.all(services.map((service) => ask(service, path, init)));
  for (const other of others) expect(other).toEqual(node);
  return node as Answer;
}

describe("every endpoint answers the same in Node, Django under gunicorn and Django under uvicorn", () => {
  it.each([
    ["/healthz", { status: "ok" }],
    ["/readyz", { status: "ready" }],
    ["/api/json", expect.objectContaining({ message: "Hello from the bookshop" })],
    ["/api/slow?ms=30", { ms: 30, author: "Grace O'Hara" }],
    ["/api/books", { books: expect.arrayContaining([expect.objectContaining({ id: 20, author: "Grace Rossi" })]) }],
    ["/api/books?limit=3&offset=7", { books: [8, 9, 10].map((id) => expect.objectContaining({ id })) }],
    ["/api/report?n=1", expect.objectContaining({ orders: 1, mean_rank: 0 })],
    ["/api/report?n=10000", expect.objectContaining({ orders: 10_000, revenue_cents: 82_345_000 })],
    ["/api/hash?rounds=1000", expect.objectContaining({ rounds: 1000 })],
    ["/api/events", { events: expect.arrayContaining([{ kind: "search", count: 100 }]) }],
    ["/api/async?ms=5", { ms: 5, books: 2000 }],
  ])("GET %s", async (path, expected) => {
    expect(await agreed(path)).toEqual({ status: 200, type: "application/json", body: expected });
  });

  it("GET /api/books/fixed lists what /api/books lists", async () => {
    expect((await agreed("/api/books/fixed?limit=100&offset=1900")).body).toEqual(
      (await agreed("/api/books?limit=100&offset=1900")).body,
    );
  });

  it("GET /page, and /page/cached twice, the escaping included", async () => {
    const page = await agreed("/page?limit=100");
    expect(page).toMatchObject({ status: 200, type: "text/html" });
    expect(page.body).toContain("The Reader&#x27;s");
    expect(page.body).toContain("Tide &amp; Tempo");
    expect(await agreed("/page/cached?limit=100")).toEqual(page);
    expect(await agreed("/page/cached?limit=100")).toEqual(page);
  });

  it("GET /file", async () => {
    expect(await agreed("/file")).toMatchObject({ status: 200, type: "image/svg+xml" });
  });

  it("POST /api/events stores in the second database, and every service reads it", async () => {
    const stored = await agreed("/api/events", { method: "POST", body: '{"kind":"purchase"}' });
    expect(stored).toEqual({ status: 201, type: "application/json", body: { stored: true } });
    expect((await agreed("/api/events")).body).toEqual({
      events: expect.arrayContaining([{ kind: "purchase", count: 103 }]),
    });
  });

  it("HEAD answers without a body", async () => {
    expect(await agreed("/api/json", { method: "HEAD" })).toMatchObject({ status: 200, body: "" });
  });
});

describe("hostile input gets the same clear answer everywhere", () => {
  const long = "9".repeat(3000);
  it.each([
    "/api/slow?ms=-1",
    "/api/slow?ms=5001",
    "/api/slow?ms=1e3",
    "/api/slow?ms=0x10",
    "/api/slow?ms=%20100",
    "/api/slow?ms=",
    "/api/slow?ms=NaN",
    "/api/slow?ms=100&ms=Infinity",
    "/api/slow?ms=%D9%A1%D9%A2",
    "/api/slow?ms=1%00",
    "/api/slow?ms=1_000",
    "/api/slow?ms=1);SELECT%20pg_sleep(9)--",
    `/api/slow?ms=${long}`,
    "/api/report?n=0",
    "/api/report?n=10001",
    "/api/hash?rounds=0",
    "/api/hash?rounds=1000001",
    "/api/books?limit=101",
    "/api/books/fixed?offset=1901",
    "/api/async?ms=99999",
    "/page?limit=0",
    "/page/cached?limit=%3Cscript%3E",
  ])("GET %s", async (path) => {
    const answer = await agreed(path);
    expect(answer).toMatchObject({ status: 400, body: { error: { code: "LAB_BAD_PARAMETER" } } });
    expect(JSON.stringify(answer.body).length).toBeLessThan(200);
  });

  it.each(["", "{", "[]", "null", '{"kind":7}', '{"kind":"toString"}', '{"kind":"x\u0000"}', "\u00ff\u00fe"])(
    "POST /api/events with %j",
    async (body) => {
      const answer = await agreed("/api/events", { method: "POST", body });
      expect(answer).toMatchObject({ status: 400, body: { error: { code: "LAB_BAD_PARAMETER" } } });
    },
  );

  it("a body over the limit, another method, another path", async () => {
    const body = JSON.stringify({ kind: "view", more: "x".repeat(5000) });
    expect(await agreed("/api/events", { method: "POST", body })).toMatchObject({ status: 413 });
    expect(await agreed("/api/events", { method: "DELETE" })).toMatchObject({
      status: 405,
      body: { error: { message: "Use GET, POST." } },
    });
    expect(await agreed("/api/json", { method: "POST", body: "{}" })).toMatchObject({ status: 405 });
    expect(await agreed("/api/slow/")).toMatchObject({ status: 404, body: { error: { code: "LAB_NOT_FOUND" } } });
    expect(await agreed("/..%2f..%2fetc%2fpasswd")).toMatchObject({ status: 404 });
  });
});

describe("the WebSocket", () => {
  const answering = () => services.filter((service) => service.name !== "lab-django");

  it("echoes text, bytes, and text through the layer, in Node and in Channels", async () => {
    for (const service of answering()) {
      const socket = new WebSocket(`${service.url.replace("http", "ws")}/ws/echo`, { perMessageDeflate: true });
      await once(socket, "open");
      expect(socket.extensions).toBe("");
      for (const message of ["hello", "layer:hello", Buffer.from([0, 1, 255])]) {
        socket.send(message);
        const [data, isBinary] = await once(socket, "message");
        expect([data.toString("hex"), isBinary]).toEqual([
          Buffer.from(message).toString("hex"),
          Buffer.isBuffer(message),
        ]);
      }
      socket.close();
      await once(socket, "close");
    }
  });

  it("refuses another path and a message over 64 KiB, and goes on serving", async () => {
    for (const service of answering()) {
      const lost = new WebSocket(`${service.url.replace("http", "ws")}/ws/other`);
      const [error] = await once(lost, "error");
      expect(String(error)).toContain("403");
      const large = new WebSocket(`${service.url.replace("http", "ws")}/ws/echo`);
      await once(large, "open");
      large.send("x".repeat(70_000));
      expect((await once(large, "close"))[0]).toBe(1009);
      expect((await ask(service, "/healthz")).status).toBe(200);
    }
  });
});

describe("without a database", () => {
  it("every service starts, says 503 within seconds where it needs one, and 200 where it does not", async () => {
    const nowhere = "postgresql://nobody:secret@127.0.0.1:1/nothing";
    const impatient = (await commands(nowhere, nowhere)).map((command) => ({
      ...command,
      env: { ...command.env, LAB_POOL_TIMEOUT: "1" },
    }));
    const lonely = await startServices(impatient);
    try {
      await Promise.all(
        lonely.map(async (service) => {
          expect(await ask(service, "/api/json")).toMatchObject({ status: 200 });
          for (const path of ["/readyz", "/api/slow?ms=1", "/page", "/api/events", "/api/async?ms=1"]) {
            const startMs = performance.now();
            expect(await ask(service, path), `${service.name} ${path}`).toEqual({
              status: 503,
              type: "application/json",
              body: { error: { code: "LAB_DATABASE_UNAVAILABLE", message: "The database did not answer." } },
            });
            expect(performance.now() - startMs).toBeLessThan(10_000);
          }
        }),
      );
    } finally {
      await Promise.all(lonely.map((service) => service.stop()));
    }
  });

  it("a missing URL stops the start with the variable's name", async () => {
    for (const command of await commands("", "")) {
      await expect(startService(command), command.name).rejects.toThrow(/LAB_DATABASE_URL must be a URL/);
    }
  });
});

describe("the end", () => {
  it("comes within five seconds of SIGTERM, with a request and a WebSocket open, and leaves no process", async () => {
    const own = await startServices(await commands(postgres.databaseUrl, postgres.eventsDatabaseUrl));
    const processes = own.flatMap((service) => processTree(service.child.pid as number));
    const sockets = own
      .filter((service) => service.name !== "lab-django")
      .map((service) => new WebSocket(`${service.url.replace("http", "ws")}/ws/echo`));
    await Promise.all(sockets.map((socket) => once(socket, "open")));
    const answers = own.map((service) => ask(service, "/api/slow?ms=1000"));
    const busy = async () =>
      (await Promise.all(own.map((service) => ask(service, "/api/json")))).every((answer) => answer.status === 200);
    expect(await busy()).toBe(true);
    const stopped = await Promise.all(own.map((service) => service.stop()));
    for (const { ms } of stopped) expect(ms).toBeLessThan(5000);
    // uvicorn shuts down in order and then raises the signal it was sent, so it has no exit code.
    expect(stopped.map(({ code }) => code)).toEqual([0, 0, null]);
    for (const answer of await Promise.all(answers)) expect(answer.status).toBe(200);
    // A worker that gunicorn had to end is collected by the system a moment later.
    await expect.poll(() => processes.filter(isAlive), { timeout: 30_000 }).toEqual([]);
  });
});
