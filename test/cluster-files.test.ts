import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { ROOT } from "./support/tidemark.ts";

const FOLDER = join(ROOT, "infra", "clickhouse", "cluster");
const read = (name: string): string => readFileSync(join(FOLDER, name), "utf8");
const all = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map((match) => match[1] ?? "");

interface Service {
  image: string;
  environment: Record<string, string>;
  volumes: string[];
}
const { services } = parse(read("compose.yml"), { merge: true }) as { services: Record<string, Service> };
const nodes = Object.keys(services).filter((name) => name.startsWith("clickhouse"));
const keepers = Object.keys(services).filter((name) => name.startsWith("keeper"));

test("the cluster's nodes and Keepers are the services that are started, two replicas to a shard", () => {
  const server = read("server.xml");
  expect(all(server, /<replica><host>([^<]+)</g).sort()).toEqual(nodes.toSorted());
  expect(all(server, /<node><host>([^<]+)</g).sort()).toEqual(keepers.toSorted());
  expect(all(read("keeper.xml"), /<hostname>([^<]+)</g).sort()).toEqual(keepers.toSorted());
  const shards = nodes.map((name) => services[name]?.environment.TIDEMARK_SHARD);
  expect(shards.toSorted()).toEqual(["1", "1", "2", "2"]);
  for (const name of nodes) expect(services[name]?.environment.TIDEMARK_REPLICA).toBe(name);
});

test("every variable and file that a node reads is given to it", () => {
  for (const name of nodes) {
    const { environment, volumes } = services[name]!;
    for (const variable of all(read("server.xml"), /from_env="(\w+)"/g)) expect(environment).toHaveProperty(variable);
    for (const volume of volumes) expect(existsSync(join(FOLDER, volume.split(":")[0] ?? ""))).toBe(true);
  }
  for (const name of keepers) expect(services[name]?.environment).toHaveProperty("TIDEMARK_KEEPER_ID");
});
