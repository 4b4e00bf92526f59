#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { demo } from "./commands/demo.ts";
import { doctor } from "./commands/doctor.ts";
import { replayLog, showLog } from "./commands/log.ts";
import { migrate } from "./commands/migrate.ts";
import { createToken, listTokens, revokeToken } from "./commands/token.ts";
import { up } from "./commands/up.ts";
import { isConnectionError } from "./running.ts";
import { DEFAULT_DATA_DIR, UsageError } from "./settings.ts";
import { outliveReaders, say } from "./terminal.ts";

outliveReaders();

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

const program = new Command("tidemark")
  .description("Self-hosted performance observability for Django and Node services: where do requests wait?")
  .version(version)
  .showHelpAfterError("(tidemark --help lists the commands)");

withPlaces(program.command("up"))
  .description("run the service: OTLP in, ClickHouse, alerts and the viewer")
  .option("--no-viewer", "without the built-in viewer")
  .option("--no-alerts", "without the built-in alert evaluator")
  .action(up);

withPlaces(program.command("demo"))
  .description("run everything with a real Django and a real Node service under load, and show the comparison")
  .option("--headless", "open no browser")
  .option("--duration <seconds>", "play the load story once within this time, print the summary and end")
  .option("--json", "with --duration: the summary once more as one last line of JSON")
  .option("--keep", "keep the data directory at the end")
  .action(demo);

withPlaces(program.command("migrate")).description("bring the tables of a ClickHouse up to date").action(migrate);

withPlaces(program.command("doctor"))
  .description("check versions, ports, reachability and that both agents report, and say what to do")
  .option("--json", "print the checks as one line of JSON")
  .action(doctor);

const log = program.command("log").description("what the ingest has on disk and ClickHouse does not have yet");
withPlaces(log.command("show"))
  .description("show segments, totals, and what was set aside as refused or damaged")
  .option("--json", "print it as one line of JSON")
  .action(showLog);
withPlaces(log.command("replay"))
  .description(
    "insert .bad, .log, .done or .corrupt files of a log into ClickHouse; what it has already is not stored again",
  )
  .argument("<file...>", "files of a log directory")
  .option("--dry-run", "only say what would be inserted")
  .option("--force", "also what ClickHouse may have stored so long ago that it would store it twice")
  .option("--json", "the outcome as one last line of JSON")
  .action(replayLog);
const token = program.command("token").description("tokens of the sources that may send: make, list, revoke");
withTokensFile(token.command("create <name>"))
  .description("make a token for a source; it is printed once, the file keeps its hash")
  .option("--services <names>", "comma list of the service.name values it may send, * for any text")
  .option("--expires <when>", "days as in 90d, or a date")
  .option("--requests-per-second <number>", "limit of requests")
  .option("--bytes-per-second <number>", "limit of bytes as sent")
  .option("--concurrent-requests <number>", "limit of requests at once")
  .option("--max-body-bytes <number>", "largest body as sent")
  .action(createToken);
withTokensFile(token.command("list")).description("the sources, without their tokens").action(listTokens);
withTokensFile(token.command("revoke <name>")).description("refuse a source's token from now on").action(revokeToken);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof UsageError) say(`tidemark: ${error.message}`);
  else if (isConnectionError(error)) say(`tidemark: ClickHouse can't be reached: ${(error as Error).message}`);
  else
    say(
      `tidemark: ${error instanceof Error ? (process.env.TIDEMARK_DEBUG ? error.stack : error.message) : String(error)}`,
    );
  process.exitCode = 1;
}

function withTokensFile(command: Command): Command {
  return command
    .option("--file <path>", "the tokens file (TIDEMARK_TOKENS_FILE; default tokens.json in the data directory)")
    .option("--data-dir <folder>", `where data is kept (TIDEMARK_DATA_DIR; default ${DEFAULT_DATA_DIR})`);
}

function withPlaces(command: Command): Command {
  return command
    .option("--data-dir <folder>", `where data is kept (TIDEMARK_DATA_DIR; default ${DEFAULT_DATA_DIR})`)
    .option("--clickhouse-url <url>", "a ClickHouse server instead of the embedded engine (TIDEMARK_CLICKHOUSE_URL)")
    .option("--host <address>", "address of the OTLP ingest (TIDEMARK_OTLP_HOST; default 127.0.0.1)")
    .option("--otlp-port <port>", "OTLP ingest (TIDEMARK_OTLP_PORT; default 4318)")
    .option("--otlp-grpc-port <port>", "OTLP over gRPC, or 'off' (TIDEMARK_OTLP_GRPC_PORT; default 4317)")
    .option("--clickhouse-port <port>", "embedded ClickHouse (TIDEMARK_CLICKHOUSE_PORT; default 8123)")
    .option("--viewer-port <port>", "viewer (TIDEMARK_VIEWER_PORT; default 4300)")
    .option("--alerts-port <port>", "alert evaluator (TIDEMARK_ALERTS_PORT; default 4301)");
}
