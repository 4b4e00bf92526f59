import type { AttributeValue, HrTime } from "@opentelemetry/api";

/** A finished span as plain data. */
export interface PlainSpan {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
  readonly parentSpanId: string | undefined;
  readonly parentIsRemote: boolean;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly status: { readonly code: number; readonly message?: string };
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  readonly events: readonly {
    readonly name: string;
    readonly time: HrTime;
    readonly attributes: Readonly<Record<string, AttributeValue | undefined>>;
  }[];
  readonly scope: { readonly name: string; readonly version: string | undefined };
}
