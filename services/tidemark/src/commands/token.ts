import { tokens } from "@tidemark/ingest";
import { defaultTokensFile, UsageError } from "../settings.ts";
import { say, table } from "../terminal.ts";

const DAY_MS = 24 * 3600 * 1000;

export interface TokenFlags {
  file?: string;
  dataDir?: string;
}

export interface NewTokenFlags extends TokenFlags {
  services?: string;
  expires?: string;
  requestsPerSecond?: string;
  bytesPerSecond?: string;
  concurrentRequests?: string;
  maxBodyBytes?: string;
}

/** `tidemark token create NAME`: the token goes to standard output, once; the file keeps its hash. */
export async function createToken(name: string, flags: NewTokenFlags): Promise<void> {
  const file = fileOf(flags);
  const limits = {
    requestsPerSecond: positive("--requests-per-second", flags.requestsPerSecond),
    bytesPerSecond: positive("--bytes-per-second", flags.bytesPerSecond),
    concurrentRequests: positive("--concurrent-requests", flags.concurrentRequests),
    maxBodyBytes: positive("--max-body-bytes", flags.maxBodyBytes),
  };
  const token = await tokens.createToken(file, {
    name,
    expires: expiry(flags.expires),
    services: flags.services
      ?.split(",")
      .map((service) => service.trim())
      .filter((service) => service !== ""),
    limits: Object.values(limits).some((limit) => limit !== undefined) ? limits : undefined,
  });
  process.stdout.write(`${token}\n`);
  say(`This is the only time the token is shown: ${file} keeps its hash. Give it to ${name} as TIDEMARK_TOKEN, or as`);
  say(
    'OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer%20<token>". An ingest that reads this file takes it from now on.',
  );
}

/** `tidemark token list`. */
export async function listTokens(flags: TokenFlags): Promise<void> {
  const entries = await tokens.readTokens(fileOf(flags));
  const rows = entries.map(({ name, created, expires, services, limits }) => [
    name,
    created.slice(0, 10),
    expires === undefined ? "never" : `${expires.slice(0, 10)}${Date.parse(expires) <= Date.now() ? " (expired)" : ""}`,
    services?.join(", ") ?? "all",
    Object.entries(limits ?? {})
      .map(([limit, value]) => `${limit} ${value}`)
      .join(", "),
  ]);
  process.stdout.write(`${table([["NAME", "CREATED", "EXPIRES", "SERVICES", "LIMITS"], ...rows])}\n`);
}

/** `tidemark token revoke NAME`. */
export async function revokeToken(name: string, flags: TokenFlags): Promise<void> {
  await tokens.revokeToken(fileOf(flags), name);
  say(`${name} is revoked: an ingest that reads ${fileOf(flags)} refuses its token from now on.`);
}

function fileOf({ file, dataDir }: TokenFlags): string {
  return file ?? defaultTokensFile(dataDir, process.env);
}

function positive(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value)) throw new UsageError(`${flag} ${text}: expected a number above 0.`);
  return value;
}

/** `90d`, or a date. */
function expiry(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const days = /^(\d+)d$/.exec(text)?.[1];
  const at = days === undefined ? Date.parse(text) : Date.now() + Number(days) * DAY_MS;
  if (Number.isNaN(at) || at <= Date.now()) {
    throw new UsageError(`--expires ${text}: expected days as in 90d, or a date in the future as in 2030-01-31.`);
  }
  return new Date(at).toISOString();
}
