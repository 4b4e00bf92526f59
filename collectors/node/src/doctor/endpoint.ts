import { request as insecure } from "node:http";
import { request as secure } from "node:https";
import { type AgentOptions, type Environment, readOptions } from "../options.ts";
import { type Target, targetOf } from "../otlp-options.ts";
import type { Check } from "./checks.ts";

const TIMEOUT_MS = 5000;
const NAME = "ingest";

/** Sends an export without content to the configured endpoint. */
export async function reachEndpoint(environment: Environment): Promise<Check> {
  let options: AgentOptions;
  try {
    options = readOptions(environment);
  } catch (error) {
    return { name: NAME, injected: "settings", measured: (error as Error).message, verdict: "FAIL" };
  }
  const target = targetOf(options, "metrics");
  const { url } = target;
  try {
    const status = await post(target, options);
    const denied = status === 401 || status === 403 ? ": the token is not accepted" : "";
    return {
      name: NAME,
      injected: url,
      measured: `status ${status}${denied}`,
      verdict: status === 200 ? "ok" : "FAIL",
    };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { name: NAME, injected: url, measured: message || code || "no answer", verdict: "FAIL" };
  }
}

function post({ url, headers }: Target, { certificates }: AgentOptions): Promise<number | undefined> {
  return new Promise((done, failed) => {
    const request = (url.startsWith("https:") ? secure : insecure)(
      url,
      {
        method: "POST",
        agent: false,
        ca: certificates,
        timeout: TIMEOUT_MS,
        headers: {
          ...headers,
          "content-type": "application/x-protobuf",
          "content-length": 0,
        },
      },
      (response) => {
        response.resume();
        done(response.statusCode);
      },
    );
    request.on("timeout", () => request.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
    request.on("error", failed);
    request.end();
  });
}
