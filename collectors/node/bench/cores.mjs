import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Numbers of the cores that this process may run on; none where that is not told (Linux: proc_pid_status(5)). */
function allowedCores() {
  try {
    const [, list] = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync("/proc/self/status", "utf8"));
    return list.split(",").flatMap((range) => {
      const [first, last = first] = range.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    });
  } catch {
    return [];
  }
}

/** Keeps a process, with all threads that it has and will have, on these cores. */
function keep(pid, cores) {
  return spawnSync("taskset", ["-a", "-p", "-c", cores.join(","), String(pid)], { stdio: "ignore" }).status === 0;
}

/**
 * A core of their own for the servers, on which they are loaded one at a time, and the others for what loads them and
 * for this process.
 *
 * @throws {Error} there is one core only, or no `taskset`.
 */
export function ownCores() {
  const [first, ...others] = allowedCores();
  if (others.length === 0 || !keep(process.pid, others)) throw new Error("--own-cores needs two cores and taskset");
  return { server: (pid) => keep(pid, [first]), load: (pid) => keep(pid, others) };
}
