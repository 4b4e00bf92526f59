import { isMainThread } from "node:worker_threads";
import { type Agent, startAgent } from "./agent.ts";
import { type AgentOptions, isDisabled, OptionError, readOptions } from "./options.ts";
import { applicationEnvironment } from "./processes/deployment.ts";

export type { Agent } from "./agent.ts";
export type { AgentOptions } from "./options.ts";
export type { Signal, SignalOptions } from "./otlp-options.ts";
export { OptionError };

const kAgent = Symbol.for("tidemark.node.agent");
const holder = globalThis as { [kAgent]?: Agent | undefined };

/**
 * Starts the agent in this process; `node --import @tidemark/node/register` does the same before the application's
 * first line, and is what services should use. Call it before the modules that are to be traced are loaded.
 *
 * Options default to the environment's. Returns the agent, or undefined when TIDEMARK_DISABLED or OTEL_SDK_DISABLED
 * is set and outside the main thread. A second call returns the agent that runs.
 *
 * @throws {OptionError} an option is out of its bounds.
 */
export function start(options: Partial<AgentOptions> = {}): Agent | undefined {
  const environment = applicationEnvironment(process.env);
  if (isDisabled(environment) || !isMainThread) return undefined;
  if (holder[kAgent] !== undefined) return holder[kAgent];
  const agent = startAgent(readOptions(environment, options), environment);
  holder[kAgent] = {
    stop() {
      holder[kAgent] = undefined;
      agent.stop();
    },
  };
  return holder[kAgent];
}
