import { expect, it, vi } from "vitest";
import { Control } from "../../src/shared/control.ts";
import { MainStack } from "../../src/worker/main-stack.ts";

it("no session is begun once the process ends, so that none is left for Node.js to wait for", () => {
  const control = new Control();
  const refused = vi.fn();
  const ask = () => new MainStack(control, "describe", true, refused).ask(() => {});
  control.ending = true;
  ask();
  expect(refused).not.toHaveBeenCalled();
  control.ending = false;
  ask(); // of a thread that is itself the main one, which Node.js refuses
  expect(refused).toHaveBeenCalledOnce();
  expect(control.capturing).toBe(false);
});

it("the end waits for a session that is connected, for as long as it may", () => {
  const control = new Control();
  const waitedMs = () => {
    const beginMs = performance.now();
    control.awaitCaptured(200);
    return performance.now() - beginMs;
  };
  control.capturing = true;
  expect(waitedMs()).toBeGreaterThan(190);
  control.capturing = false;
  expect(waitedMs()).toBeLessThan(190);
});
