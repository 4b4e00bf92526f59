export interface Job {
  readonly name: string;
  readonly milliseconds: number;
}

type State = "waiting" | "done";

export function workOff(jobs: readonly Job[]): number {
  const states: State[] = jobs.map(() => "waiting");
  for (const [index, job] of jobs.entries()) {
    blockHere(job);
    states[index] = "done";
  }
  return states.filter((state) => state === "done").length;
}

/** The culprit: all of its time is spent in line 22. */
function blockHere({ milliseconds }: Job): void {
  const end: number = performance.now() + milliseconds;
  let turns: number = 0;
  let sum: number = 0;
  while (performance.now() < end) sum += Math.sqrt(turns++);
  if (sum < 0) console.log(sum);
}
