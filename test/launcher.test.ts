import { expect, it } from "vitest";
import { childOf, marked, startTidemark, until } from "./support/tidemark.ts";

it("ends every service where the launcher is killed, also those that have something to say to nobody", async () => {
  const marker = `tidemark-killed-${process.pid}-${Date.now()}`;
  const tidemark = await startTidemark([], { TIDEMARK_TEST_MARKER: marker });
  try {
    const services = ["engine", "ingest", "viewer", "alerts"].map((name) => childOf(tidemark.process, name));
    expect(services.every(Boolean), `${services}`).toBe(true);
    // Their logs went to the launcher's pipes: who reads them ends in the same instant as they are told to.
    tidemark.process.kill("SIGKILL");
    await until(
      () => `the services to end: ${marked(marker).join("\n")}`,
      () => marked(marker).length === 0,
      20_000,
    );
  } finally {
    await tidemark.stop();
  }
});

it("stops in order where nobody reads what it prints any more", async () => {
  const marker = `tidemark-unread-${process.pid}-${Date.now()}`;
  const tidemark = await startTidemark([], { TIDEMARK_TEST_MARKER: marker });
  try {
    tidemark.process.stdout?.destroy();
    tidemark.process.stderr?.destroy();
    await tidemark.stop();
    expect(tidemark.process.exitCode).toBe(0);
    expect(marked(marker)).toEqual([]);
  } finally {
    await tidemark.stop();
  }
});
