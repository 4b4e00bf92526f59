import { POINT_ATTRIBUTES, RESOURCE_ATTRIBUTES } from "./attributes.ts";
import { EVENTS } from "./events.ts";
import { METRICS } from "./metrics.ts";
import { EXPONENTIAL_HISTOGRAM_SCALE, ZERO_THRESHOLD } from "./scale.ts";

/** The registry as a Python module of constants and one table of metrics, formatted as ruff would. */
export function pythonModule(): string {
  const lines = [
    '"""Names, units and kinds of everything the agent emits.',
    "",
    "Generated from collectors/semconv; do not edit. `npm run generate -w @tidemark/semconv`.",
    '"""',
    "",
    "from typing import Final, NamedTuple",
    "",
    "",
    "class Metric(NamedTuple):",
    '    """One metric of the registry."""',
    "",
    "    name: str",
    "    instrument: str",
    "    unit: str",
    "    attributes: tuple[str, ...]",
    "",
    "",
    `EXPONENTIAL_HISTOGRAM_SCALE: Final = ${EXPONENTIAL_HISTOGRAM_SCALE}`,
    `ZERO_THRESHOLD: Final = ${ZERO_THRESHOLD}`,
    "",
  ];
  for (const attribute of [...RESOURCE_ATTRIBUTES, ...POINT_ATTRIBUTES]) {
    lines.push(`${constant(attribute.name)}: Final = "${attribute.name}"`);
  }
  lines.push("");
  for (const event of EVENTS) lines.push(`EVENT_${constant(event.name)}: Final = "${event.name}"`);
  lines.push("", "METRICS: Final[dict[str, Metric]] = {");
  for (const { name, instrument, unit, attributes, runtimes } of METRICS) {
    if (!runtimes.includes("django")) continue;
    const tuple = attributes.map((attribute) => `            "${attribute}",`);
    lines.push(`    "${name}": Metric(`, `        "${name}",`, `        "${instrument}",`, `        "${unit}",`);
    if (tuple.length === 0) lines.push("        (),");
    else if (tuple.length === 1) lines.push(`        ("${attributes[0]}",),`);
    else lines.push("        (", ...tuple, "        ),");
    lines.push("    ),");
  }
  lines.push("}", "");
  return lines.join("\n");
}

/** The registry as docs/metrics.md. */
export function referencePage(): string {
  const lines = [
    "# Metrics, attributes and events",
    "",
    "Generated from `collectors/semconv` by `npm run generate -w @tidemark/semconv`; a test compares the two.",
    "Units are UCUM: `s` seconds, `By` bytes, `1` a ratio.",
    "",
    "## Metrics",
    "",
    "| metric | instrument | unit | from | meaning | source |",
    "|---|---|---|---|---|---|",
    ...METRICS.map(
      ({ name, instrument, unit, runtimes, brief, source }) =>
        `| \`${name}\` | ${instrument.replaceAll("_", " ")} | \`${unit}\` | ${runtimes.join(", ")} | ${brief} | ${source} |`,
    ),
    "",
    "## Resource attributes (identity, on every series)",
    "",
    "| attribute | type | meaning |",
    "|---|---|---|",
    ...RESOURCE_ATTRIBUTES.map(({ name, type, brief }) => `| \`${name}\` | ${type} | ${brief} |`),
    "",
    "## Attributes of points, spans and events",
    "",
    "| attribute | type | meaning |",
    "|---|---|---|",
    ...POINT_ATTRIBUTES.map(({ name, type, brief }) => `| \`${name}\` | ${type} | ${brief} |`),
    "",
    "## Events",
    "",
    "| event | attributes | meaning |",
    "|---|---|---|",
    ...EVENTS.map(
      ({ name, attributes, brief }) => `| \`${name}\` | ${attributes.map((a) => `\`${a}\``).join(", ")} | ${brief} |`,
    ),
    "",
  ];
  return lines.join("\n");
}

function constant(name: string): string {
  return name.toUpperCase().replaceAll(/[.-]/g, "_");
}
