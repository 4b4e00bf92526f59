import { describe, expect, it } from "vitest";
import {
  globFormat,
  InterpolationError,
  interpolate,
  sqlFormat,
  sqlLookup,
  type VariableValue,
} from "../../src/grafana/interpolate.ts";

const VALUES: Record<string, VariableValue> = {
  one: { values: ["a"], texts: ["A"], multi: false },
  many: { values: ["a", "it's", "b\\"], texts: ["A", "It's", "B"], multi: true },
  evil: { values: ["1) OR (1=1"], texts: ["evil"], multi: false },
  all: { values: ["x"], texts: ["All"], multi: true, allValue: ".*" },
};
const lookup = (name: string) => VALUES[name];

describe("interpolate", () => {
  it.each([
    ["$one ${one} [[one]]", "a a a"],
    ["${many:singlequote}", "'a','it\\'s','b\\\\'"],
    ["${many:csv}", "a,it's,b\\"],
    ["${one:doublequote}", '"a"'],
    ["${many:text}", "A + It's + B"],
    ["${one:json}", '"a"'],
    ["${one:queryparam}", "var-one=a"],
    ["${one:pipe}|${one:regex}", "a|a"],
    ["$all ${all:singlequote}", ".* .*"],
    ["$__timeFilter(ts) $unknown ${unknown:csv}", "$__timeFilter(ts) $unknown ${unknown:csv}"],
  ])("turns %s into %s", (text, wanted) => {
    expect(interpolate(text, lookup, globFormat)).toBe(wanted);
  });

  it("quotes a list in SQL that names no format, as the ClickHouse plugin does", () => {
    expect(interpolate("IN ($many)", lookup, sqlFormat)).toBe("IN ('a','it\\'s','b\\\\')");
  });

  it("refuses a value that would become SQL, and takes it where it is quoted", () => {
    const raw = "LIMIT $evil";
    expect(() => interpolate(raw, sqlLookup(lookup, raw), sqlFormat)).toThrow(InterpolationError);
    const quoted = "= ${evil:singlequote}";
    expect(interpolate(quoted, sqlLookup(lookup, quoted), sqlFormat)).toBe("= '1) OR (1=1'");
  });

  it("refuses a format it does not know", () => {
    expect(() => interpolate("${one:lucene}", lookup, globFormat)).toThrow(/lucene/);
  });
});
