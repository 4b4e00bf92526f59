import type { AddressInfo } from "node:net";
import { createServer, type Socket } from "node:net";

const AUTHENTICATION_OK = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0]);
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
const DONE = Buffer.from([0x43, 0, 0, 0, 13, ...Buffer.from("SELECT 1\0")]);
const QUERY = 0x51;
const HEADER_BYTES = 5;

/**
 * A database for those who have none: takes any login, and answers every statement with no rows, after the time that
 * `pg_sleep(...)` in it asks for. Source: PostgreSQL documentation, Frontend/Backend Protocol, simple query.
 */
export async function listenAsPostgres(): Promise<{ url: string; close(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    serve(socket);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    url: `postgres://doctor@127.0.0.1:${(server.address() as AddressInfo).port}/doctor`,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

function serve(socket: Socket): void {
  let received = Buffer.alloc(0);
  let started = false;
  socket.on("data", (chunk) => {
    received = Buffer.concat([received, chunk]);
    for (;;) {
      const head = started ? 1 : 0; // the first message has no type
      if (received.length < head + 4) return;
      const end = head + received.readInt32BE(head);
      if (received.length < end) return;
      const message = received.subarray(0, end);
      received = received.subarray(end);
      if (!started) {
        started = true;
        socket.write(Buffer.concat([AUTHENTICATION_OK, READY]));
      } else if (message[0] === QUERY) answer(socket, message.subarray(HEADER_BYTES).toString());
      else socket.end();
    }
  });
}

function answer(socket: Socket, statement: string): void {
  const seconds = Number(/pg_sleep\(([\d.]+)\)/.exec(statement)?.[1] ?? 0);
  setTimeout(() => socket.write(Buffer.concat([DONE, READY])), seconds * 1000);
}
