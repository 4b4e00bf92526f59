const UNITS = ["s", "m", "h", "d", "w", "M", "y"] as const;
type Unit = (typeof UNITS)[number];

/** A time as Grafana's URLs carry it: `now-15m`, `now/d`, milliseconds since 1970, or an ISO date. */
export function parseTimeExpression(text: string, now: number, roundUp = false): number | undefined {
  const trimmed = text.trim();
  if (/^\d{10,}$/.test(trimmed)) return Number(trimmed);
  if (!trimmed.startsWith("now")) {
    const parsed = Date.parse(trimmed.replace(/^(\d{4}-\d\d-\d\d) /, "$1T"));
    return Number.isNaN(parsed) ? undefined : parsed;
  }
  const date = new Date(now);
  let rest = trimmed.slice(3);
  while (rest !== "") {
    const match = /^(?:([+-])(\d+)([smhdwMy])|\/([smhdwMy]))/.exec(rest);
    if (!match) return undefined;
    if (match[4]) snap(date, match[4] as Unit, roundUp);
    else shift(date, Number(`${match[1]}${match[2]}`), match[3] as Unit);
    rest = rest.slice(match[0].length);
  }
  return date.getTime();
}

const FIXED_MS: Partial<Record<Unit, number>> = { s: 1000, m: 60_000, h: 3_600_000 };

function shift(date: Date, count: number, unit: Unit): void {
  const fixed = FIXED_MS[unit];
  if (fixed !== undefined) date.setTime(date.getTime() + count * fixed);
  else if (unit === "d") date.setDate(date.getDate() + count);
  else if (unit === "w") date.setDate(date.getDate() + 7 * count);
  else if (unit === "M") date.setMonth(date.getMonth() + count);
  else date.setFullYear(date.getFullYear() + count);
}

/** To the start of the unit, or to its last millisecond when rounding up. */
function snap(date: Date, unit: Unit, roundUp: boolean): void {
  date.setMilliseconds(0);
  if (unit !== "s") date.setSeconds(0);
  if (unit !== "s" && unit !== "m") date.setMinutes(0);
  if (unit === "d" || unit === "w" || unit === "M" || unit === "y") date.setHours(0);
  if (unit === "w") date.setDate(date.getDate() - ((date.getDay() + 6) % 7));
  if (unit === "M" || unit === "y") date.setDate(1);
  if (unit === "y") date.setMonth(0);
  if (!roundUp) return;
  shift(date, 1, unit);
  date.setTime(date.getTime() - 1);
}
