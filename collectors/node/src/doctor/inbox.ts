import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import type { Attributes } from "../shared/messages.ts";
import { Fields } from "./proto-reader.ts";

const NS_PER_MS = 1e6;

/** One number, or one histogram of one interval. Times are Unix milliseconds. */
export interface ReceivedPoint {
  readonly metric: string;
  readonly attributes: Attributes;
  readonly value: number;
  readonly count: number;
  readonly sum: number;
  readonly max: number;
  readonly startMs: number;
  readonly timeMs: number;
}
export interface ReceivedEvent {
  readonly name: string;
  readonly body: string;
  readonly attributes: Attributes;
}
/** From when to when something was injected, Unix milliseconds. */
export interface Window {
  readonly startMs: number;
  readonly endMs: number;
}

/** An ingest that only keeps what it is sent. */
export class Inbox {
  readonly points: ReceivedPoint[] = [];
  readonly events: ReceivedEvent[] = [];
  #server: Server | undefined;
  #arrived: () => void = () => {};

  /** Listens on a free port of this machine; its URL. */
  async listen(): Promise<string> {
    const server = createServer(async (request, response) => {
      try {
        const body = await buffer(request);
        this.take(request.url ?? "", request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body);
        response.end();
        this.#arrived();
        this.#arrived = () => {};
      } catch {
        response.writeHead(400).end();
      }
    });
    this.#server = server;
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** Calls back with the next export. */
  once(arrived: () => void): void {
    this.#arrived = arrived;
  }

  async close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }

  /** Points of a metric with these attributes; with a window, of the intervals that lie in it altogether. */
  of(metric: string, attributes: Attributes = {}, window?: Window): ReceivedPoint[] {
    return this.points.filter(
      (point) =>
        point.metric === metric &&
        Object.entries(attributes).every(([key, value]) => point.attributes[key] === value) &&
        (window === undefined || (point.startMs >= window.startMs && point.timeMs <= window.endMs)),
    );
  }

  /** Field numbers: opentelemetry-proto 1.7, metrics.proto and logs.proto. */
  take(path: string, body: Buffer): void {
    if (path === "/v1/traces") return; // in JSON; no check looks at them
    const scopes = new Fields(body).messages(1).flatMap((resource) => resource.messages(2));
    if (path === "/v1/metrics") {
      for (const metric of scopes.flatMap((scope) => scope.messages(2))) this.#takeMetric(metric);
    } else if (path === "/v1/logs") {
      for (const record of scopes.flatMap((scope) => scope.messages(2))) {
        this.events.push({
          name: record.text(12) ?? "",
          body: record.messages(5)[0]?.text(1) ?? "",
          attributes: attributesOf(record, 6),
        });
      }
    }
  }

  #takeMetric(metric: Fields): void {
    const name = metric.text(1) ?? "";
    const histograms = metric.messages(10).flatMap((data) => data.messages(1));
    const numbers = [5, 7].flatMap((kind) => metric.messages(kind)).flatMap((data) => data.messages(1));
    for (const point of numbers) {
      const value = point.double(4) ?? 0;
      this.points.push({ ...pointOf(name, point, 7), value, count: 0, sum: 0, max: 0 });
    }
    for (const point of histograms) {
      this.points.push({
        ...pointOf(name, point, 1),
        value: 0,
        count: point.fixed64(4) ?? 0,
        sum: point.double(5) ?? 0,
        max: point.double(13) ?? 0,
      });
    }
  }
}

function pointOf(metric: string, point: Fields, attributes: number) {
  return {
    metric,
    attributes: attributesOf(point, attributes),
    startMs: (point.fixed64(2) ?? 0) / NS_PER_MS,
    timeMs: (point.fixed64(3) ?? 0) / NS_PER_MS,
  };
}

function attributesOf(holder: Fields, field: number): Attributes {
  return Object.fromEntries(
    holder.messages(field).map((entry) => {
      const value = entry.messages(2)[0];
      const truth = value?.varint(2);
      const flag = truth === undefined ? undefined : truth === 1;
      return [entry.text(1) ?? "", value?.text(1) ?? flag ?? value?.varint(3) ?? value?.double(4) ?? ""];
    }),
  );
}
