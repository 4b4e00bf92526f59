import { parseArgs } from "node:util";
import { type Check, runDoctor } from "./doctor/doctor.ts";

const HELP = `usage: tidemark-node doctor [--no-endpoint] [--postgres URL] [--json]

Runs a throw-away program with known waits under the agent, compares what the agent measures with what was injected,
and sends an empty export to the ingest. Takes about 15 s, on a machine that is not busy with other work.

  --no-endpoint    do not contact the ingest
  --postgres URL   run the queries on this database (default: a stand-in that answers after a known time)
  --json           print one line of JSON: {"good": ..., "checks": [{"name", "injected", "measured", "verdict"}]}
  --help           print this

Exit code 1 when a check fails, 2 when the command is wrong or the program could not be run.
`;

/** `tidemark-node ...`: the exit code, 0 when everything was measured right. */
export async function main(commandLine: readonly string[]): Promise<number> {
  let command: ReturnType<typeof parse>;
  try {
    command = parse(commandLine);
  } catch (error) {
    return refuse((error as Error).message);
  }
  const { values, positionals } = command;
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  if (positionals.length !== 1 || positionals[0] !== "doctor") return refuse("the command is doctor");
  try {
    const checks = await runDoctor({ endpoint: values["no-endpoint"] !== true, postgres: values.postgres });
    const good = checks.every(({ verdict }) => verdict !== "FAIL");
    process.stdout.write(values.json === true ? `${JSON.stringify({ good, checks })}\n` : table(checks));
    return good ? 0 : 1;
  } catch (error) {
    process.stderr.write(`tidemark-node: ${(error as Error).message}\n`);
    return 2;
  }
}

function parse(commandLine: readonly string[]) {
  return parseArgs({
    args: [...commandLine],
    allowPositionals: true,
    options: {
      "no-endpoint": { type: "boolean" },
      postgres: { type: "string" },
      json: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
}

function refuse(reason: string): number {
  process.stderr.write(`tidemark-node: ${reason}\n\n${HELP}`);
  return 2;
}

function table(checks: readonly Check[]): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.map(
    ({ name, injected, measured, verdict }) =>
      `${verdict.padEnd(4)}  ${name.padEnd(width)}  injected ${injected.padEnd(14)}  measured ${measured}\n`,
  );
  return lines.join("");
}
