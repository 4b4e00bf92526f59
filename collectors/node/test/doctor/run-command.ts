import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../bin/tidemark-node.mjs", import.meta.url));

/** `npx tidemark-node ...`, in a directory and with no variables but these. */
export async function runCommand(parameters: readonly string[], environment: Record<string, string>, cwd: string) {
  const child = spawn(process.execPath, [PROGRAM, ...parameters], {
    env: { PATH: process.env.PATH, ...environment },
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close");
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await ended;
  return { code: code as number, stdout, stderr };
}
