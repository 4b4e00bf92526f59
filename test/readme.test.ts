import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT } from "./support/tidemark.ts";

const pages = execFileSync("git", ["ls-files", "*.md"], { cwd: ROOT, encoding: "utf8" }).split("\n").filter(Boolean);
interface Package {
  readonly name: string;
  readonly scripts?: Record<string, string>;
}
const inWorkspaces = execFileSync("git", ["ls-files", "*/package.json"], { cwd: ROOT, encoding: "utf8" });
const [root, ...workspaces] = ["package.json", ...inWorkspaces.split("\n").filter(Boolean)].map(
  (path) => JSON.parse(readFileSync(join(ROOT, path), "utf8")) as Package,
);

describe.each(pages)("%s", (page) => {
  const text = readFileSync(join(ROOT, page), "utf8");

  it("links to files that exist", () => {
    const links = [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)].map((match) => match[1] ?? "");
    expect(links.filter((link) => !existsSync(join(ROOT, dirname(page), link)))).toEqual([]);
  });

  it("names npm scripts that exist", () => {
    const named = text.matchAll(/npm run ([a-z0-9:-]+)(?: (?:-w|--workspace) ([@/a-z0-9-]+))?/g);
    const unknown = [...named].filter(([, script = "", within]) => {
      const owner = within === undefined ? root : workspaces.find(({ name }) => name === within);
      return !(script in (owner?.scripts ?? {}));
    });
    expect(unknown.map(([command]) => command)).toEqual([]);
  });
});
