export {
  POINT_ATTRIBUTES,
  REQUEST_PHASES,
  RESOURCE_ATTRIBUTES,
  RESOURCE_KINDS,
  type RequestPhase,
  type ResourceKind,
} from "./attributes.ts";
export { EVENTS } from "./events.ts";
export type { Attribute, Event, Instrument, Metric, Runtime } from "./metric.ts";
export { METRICS } from "./metrics.ts";
export { EXPONENTIAL_HISTOGRAM_SCALE, ZERO_THRESHOLD } from "./scale.ts";
