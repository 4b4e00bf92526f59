const NS_PER_MS = 1_000_000n;
const SEND_TIMEOUT_MS = 2_000;

export interface AnnotationTarget {
  /** Base URL of the ingest, for example http://127.0.0.1:4318. */
  endpoint: string;
  token?: string | undefined;
}

export interface Annotation {
  title: string;
  text: string;
  /** Milliseconds since the epoch. */
  startedAt: number;
  durationSeconds: number;
}

/** An OTLP logs request in JSON with one `tidemark.annotation` event. Source: OTLP specification, JSON mapping. */
export function annotationRequest({ title, text, startedAt, durationSeconds }: Annotation): object {
  const nanos = String(BigInt(Math.round(startedAt)) * NS_PER_MS);
  return {
    resourceLogs: [
      {
        resource: { attributes: [attribute("service.name", { stringValue: "tidemark-lab" })] },
        scopeLogs: [
          {
            scope: { name: "tidemark-lab" },
            logRecords: [
              {
                timeUnixNano: nanos,
                observedTimeUnixNano: nanos,
                severityNumber: 9,
                severityText: "INFO",
                eventName: "tidemark.annotation",
                body: { stringValue: text },
                attributes: [
                  attribute("event.name", { stringValue: "tidemark.annotation" }),
                  attribute("tidemark.annotation.title", { stringValue: title }),
                  attribute("tidemark.annotation.duration", { doubleValue: durationSeconds }),
                ],
              },
            ],
          },
        ],
      },
    ],
  };
}

/**
 * Sends one annotation.
 *
 * @returns why it failed, undefined when the ingest took it; it never throws, the load goes on either way.
 */
export async function sendAnnotation(target: AnnotationTarget, annotation: Annotation): Promise<string | undefined> {
  try {
    const response = await fetch(new URL("/v1/logs", target.endpoint), {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(target.token !== undefined && { authorization: `Bearer ${target.token}` }),
      },
      body: JSON.stringify(annotationRequest(annotation)),
      signal: AbortSignal.timeout(SEND_TIMEOUT_MS),
    });
    await response.arrayBuffer();
    return response.ok ? undefined : `${target.endpoint} answered ${response.status}`;
  } catch (error) {
    const { message, cause } = error as Error;
    return `${target.endpoint}: ${cause instanceof Error ? cause.message || String(cause) : message}`;
  }
}

function attribute(key: string, value: object): object {
  return { key, value };
}
