import { expect, test } from "vitest";
import { BodyBuffers } from "../src/body-buffers.ts";

const chunks = (...texts: string[]) => texts.map((text) => Buffer.from(text));

test("joins chunks to one body", () => {
  expect(new BodyBuffers().join(chunks("one ", "two"), 7).toString()).toBe("one two");
});

test("lends a buffer to another body only after it was given back, and only once", () => {
  const buffers = new BodyBuffers();
  const first = buffers.join(chunks("first"), 5);
  const second = buffers.join(chunks("second"), 6);
  expect(second.buffer).not.toBe(first.buffer);
  buffers.give(first);
  buffers.give(first);
  const third = buffers.join(chunks("third"), 5);
  const fourth = buffers.join(chunks("fourth"), 6);
  expect(third.buffer).toBe(first.buffer);
  expect(fourth.buffer).not.toBe(first.buffer);
  expect([second, third, fourth].map(String)).toEqual(["second", "third", "fourth"]);
});

test("never lends a buffer that is not its own", () => {
  const buffers = new BodyBuffers();
  const others = Buffer.alloc(256 * 1024, "x");
  buffers.give(others);
  expect(buffers.join(chunks("body"), 4).buffer).not.toBe(others.buffer);
});

test("a body over 4 MiB gets a buffer of its own", () => {
  const buffers = new BodyBuffers();
  const large = Buffer.alloc(5 * 1024 * 1024, "x");
  const body = buffers.join([large], large.length);
  expect(body.equals(large)).toBe(true);
  buffers.give(body);
  expect(buffers.join([large], large.length).buffer).not.toBe(body.buffer);
});
