import { spawnSync } from "node:child_process";
import { isFree } from "../ports.ts";
import { isConnectionError, readerClient, wantedPorts } from "../running.ts";
import { prepareDataDir, readSettings, type SettingsFlags } from "../settings.ts";
import { type Urls, urls, withoutPassword } from "../stack.ts";
import { answers } from "../supervisor.ts";
import { say } from "../terminal.ts";

const MIN_NODE = [20, 19] as const;
const MIN_PYTHON = [3, 10] as const;
/** An agent exports every 10 s by default; six missed exports are not a delay. */
const REPORTING_WITHIN_S = 60;

interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly found: string;
  /** What to do where it is not ok. */
  readonly todo?: string;
}

/** `tidemark doctor`: every check, with what to do; exit code 1 where one fails. */
export async function doctor(flags: SettingsFlags & { json?: boolean }): Promise<void> {
  const settings = readSettings(flags, process.env);
  const addresses = urls(settings, "");
  const checks = [nodeVersion(), pythonVersion(), dataDir(settings.dataDir)];
  const ingestUp = await answers(`${addresses.otlp}/healthz`);
  checks.push(...(ingestUp ? await running(addresses) : await ports(settings)));
  for (const { name, ok, found, todo } of checks) {
    say(`${ok ? "ok  " : "FAIL"}  ${name}: ${found}`);
    if (!ok && todo) say(`      ${todo}`);
  }
  const failed = checks.filter(({ ok }) => !ok).length;
  say(failed === 0 ? "\nAll is well." : `\n${failed} of ${checks.length} checks failed.`);
  if (flags.json) process.stdout.write(`${JSON.stringify({ ok: failed === 0, checks })}\n`);
  if (failed > 0) process.exitCode = 1;
}

function nodeVersion(): Check {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const ok = major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1]);
  return { name: "Node", ok, found: process.versions.node, todo: `Install Node ${MIN_NODE.join(".")} or newer.` };
}

function pythonVersion(): Check {
  const python = process.env.TIDEMARK_PYTHON_BASE ?? "python3";
  const { stdout, status } = spawnSync(python, ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"], {
    encoding: "utf8",
  });
  const [major = 0, minor = 0] = (stdout ?? "").trim().split(".").map(Number);
  const ok = status === 0 && (major > MIN_PYTHON[0] || (major === MIN_PYTHON[0] && minor >= MIN_PYTHON[1]));
  const todo = `The Django agent and the demo need Python ${MIN_PYTHON.join(".")} or newer; the service itself does not.`;
  return { name: "Python", ok, found: status === 0 ? stdout.trim() : `${python} not found`, todo };
}

function dataDir(path: string): Check {
  try {
    prepareDataDir(path);
    return { name: "data directory", ok: true, found: `${path} can be written` };
  } catch (error) {
    return { name: "data directory", ok: false, found: (error as Error).message };
  }
}

/** Nothing runs yet: are the ports free? */
async function ports(settings: ReturnType<typeof readSettings>): Promise<Check[]> {
  const checks: Check[] = [];
  for (const { service, port, variable, flag } of wantedPorts(settings)) {
    const ok = await isFree(port, "127.0.0.1");
    checks.push({
      name: `port ${port} (${service})`,
      ok,
      found: ok ? "free" : "taken by something that is not Tidemark's ingest",
      todo: `Stop what listens there, or use ${flag} or ${variable}.`,
    });
  }
  checks.push({
    name: "service",
    ok: false,
    found: "the ingest does not answer",
    todo: "Start it with `npm start`, then run the doctor again to see whether the agents report.",
  });
  return checks;
}

async function running(addresses: Urls): Promise<Check[]> {
  const { otlp, viewer, alerts } = addresses;
  const ready = await answers(`${otlp}/readyz`);
  const checks: Check[] = [
    { name: "ingest", ok: true, found: `answers at ${otlp}` },
    {
      name: "ingest writes to ClickHouse",
      ok: ready,
      found: ready ? "yes" : "no",
      todo: "Its log says why: logs/ingest.log in the data directory.",
    },
    await answering("viewer", `${viewer}/healthz`),
    await answering("alerts", `${alerts}/healthz`),
  ];
  const client = readerClient(addresses);
  try {
    const versionRows = await (
      await client.query({ query: "SELECT version() AS version", format: "JSONEachRow" })
    ).json<{ version: string }>();
    checks.push({
      name: "ClickHouse",
      ok: true,
      found: `${versionRows[0]?.version} at ${withoutPassword(addresses.clickhouseReader)}`,
    });
    const query = `SELECT runtime, uniqExact(service) AS services, uniqExact(instance) AS processes, toUInt32(dateDiff('second', max(ts), now())) AS age
      FROM resource_samples WHERE ts > now() - INTERVAL 1 HOUR GROUP BY runtime`;
    type Row = { runtime: string; services: string; processes: string; age: number };
    const rows = await (await client.query({ query, format: "JSONEachRow" })).json<Row>();
    checks.push(agent(rows, "node", "node --import @tidemark/node/register app.js"));
    checks.push(agent(rows, "django", 'INSTALLED_APPS += ["tidemark_django"]'));
  } catch (error) {
    const away = isConnectionError(error);
    checks.push({
      name: "ClickHouse",
      ok: false,
      found: (error as Error).message,
      todo: away ? "Check TIDEMARK_CLICKHOUSE_URL and that the server runs." : "Run `npx tidemark migrate`.",
    });
  } finally {
    await client.close();
  }
  return checks;

  function agent(
    rows: readonly { runtime: string; services: string; processes: string; age: number }[],
    runtime: string,
    how: string,
  ): Check {
    const row = rows.find((candidate) => candidate.runtime === runtime);
    const ok = row !== undefined && row.age <= REPORTING_WITHIN_S;
    let found = "has not reported within the last hour";
    if (row) found = `${row.services} service(s), ${row.processes} process(es), last report ${row.age} s ago`;
    const todo = `${how}, with TIDEMARK_ENDPOINT=${otlp} in its environment; then send it a request.`;
    return { name: `${runtime} agent`, ok, found, todo };
  }
}

async function answering(name: string, url: string): Promise<Check> {
  const ok = await answers(url);
  return {
    name,
    ok,
    found: ok ? "answers" : `no answer from ${url}`,
    todo: `It was left out at the start, or its log says why: logs/${name}.log in the data directory.`,
  };
}
