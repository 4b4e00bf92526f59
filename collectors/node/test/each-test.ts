import { afterEach, beforeEach } from "vitest";
import { type AgentProcess, PRELOAD, runWithAgent } from "./agent-process.ts";
import { type Sink, startSink } from "./otlp-sink.ts";

/** For each test a sink, and programs that report to it; after it all of them are ended. */
export function eachTest(node: string) {
  let sink: Sink;
  const programs: AgentProcess[] = [];
  beforeEach(async () => {
    sink = await startSink();
  });
  afterEach(async () => {
    await Promise.all(programs.splice(0).map((program) => program.stop()));
    await sink.close();
  });
  return {
    get sink() {
      return sink;
    },
    run(
      script: string | { code: string },
      environment: Record<string, string | undefined> = {},
      preload: string[] = PRELOAD,
      endpoint: string = sink.url,
    ) {
      const program = runWithAgent(script, endpoint, environment, preload, node);
      programs.push(program);
      return program;
    },
  };
}
