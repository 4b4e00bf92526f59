import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/**
 * Reads `+ GROUP` for a process group that was started and `- GROUP` for one that ended. At the end of its input, which
 * comes however the launcher ends, it asks those that are left to end, the last started first, and kills what is left
 * after the seconds in $1.
 */
const SCRIPT = `
trap '' HUP INT TERM
groups=' '
while read -r sign group; do
  case "$sign$groups" in
    +*) groups=" $group$groups" ;;
    -*" $group "*) groups="\${groups%% $group *} \${groups#* $group }" ;;
  esac
done
tenths=$(($1 * 10))
for group in $groups; do
  kill -s TERM -- "-$group" 2>/dev/null
done
for group in $groups; do
  while [ $tenths -gt 0 ] && kill -s 0 -- "-$group" 2>/dev/null; do
    tenths=$((tenths - 1))
    sleep 0.1
  done
  kill -s KILL -- "-$group" 2>/dev/null
done
`;

/**
 * Ends process groups where the process that started them can't any more: it was killed, or crashed. A shell with a
 * pipe to it, about 1 MB; Node.js has no PR_SET_PDEATHSIG.
 */
export class Guard {
  readonly #shell: ChildProcess;

  /** @param graceSeconds SIGTERM to SIGKILL, whole seconds. */
  constructor(graceSeconds: number, report: (line: string) => void) {
    // A group of its own: what is sent to the launcher's must not end the guard.
    this.#shell = spawn("/bin/sh", ["-c", SCRIPT, "tidemark-guard", `${graceSeconds}`], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.#shell.unref();
    this.#shell.once("error", ({ message }) => {
      report(`The services will go on running if this process is killed, as their guard does not start: ${message}`);
    });
    this.#shell.stdin?.on("error", () => {});
  }

  started(group: number): void {
    this.#shell.stdin?.write(`+ ${group}\n`);
  }

  ended(group: number): void {
    this.#shell.stdin?.write(`- ${group}\n`);
  }

  /** Ends the guard itself, and with it what has not ended yet. */
  async close(): Promise<void> {
    if (this.#shell.pid === undefined || this.#shell.exitCode !== null || this.#shell.signalCode !== null) return;
    const exit = once(this.#shell, "exit");
    this.#shell.stdin?.end();
    await exit;
  }
}
