import { hostname } from "node:os";
import { describe, expect, it } from "vitest";
import { identify } from "../../src/identity.ts";
import { type Environment, readOptions } from "../../src/options.ts";
import { applicationEnvironment } from "../../src/processes/deployment.ts";

const identityOf = (variables: Environment) => {
  const environment = applicationEnvironment(variables);
  return identify(readOptions(environment), environment);
};

// The variables as pm2 7.0.4 sets them; on pm2 itself, which brings 77 packages: npm run test:pm2 -w @tidemark/node.
describe("the identity of an instance under pm2", () => {
  it("has its number, group and siblings in cluster mode, where the preload finds them in pm2_env", () => {
    const instance = { NODE_APP_INSTANCE: 1, pm_id: 4, name: "shop", instances: 2, instance_var: "NODE_APP_INSTANCE" };
    expect(identityOf({ pm2_env: JSON.stringify({ ...instance, env: {}, exec_mode: "cluster_mode" }) })).toMatchObject({
      "tidemark.worker.index": 1,
      "tidemark.workers.configured": 2,
      "tidemark.group.id": `${hostname()}:${process.ppid}:shop`,
    });
  });

  it("has the same in fork mode, where they are variables, also by another name", () => {
    const environment = { NODE_APP_INSTANCE: "0", pm_id: "2", name: "solo", instances: "1" };
    const expected = { "tidemark.worker.index": 0, "tidemark.group.id": `${hostname()}:${process.ppid}:solo` };
    expect(identityOf(environment)).toMatchObject(expected);
    const renamed = { INSTANCE: "3", instance_var: "INSTANCE", pm_id: "2", name: "solo" };
    expect(identityOf(renamed)).toMatchObject({ ...expected, "tidemark.worker.index": 3 });
  });

  it("has the options of pm2's configuration in cluster mode", () => {
    const instance = { NODE_APP_INSTANCE: 0, OTEL_SERVICE_NAME: "shop", env: { OTEL_SERVICE_NAME: "shop" } };
    expect(identityOf({ pm2_env: JSON.stringify(instance) })["service.name"]).toBe("shop");
  });

  it("does not take the instance id that all of them would share", () => {
    const shared = { OTEL_RESOURCE_ATTRIBUTES: "service.instance.id=one" };
    expect(identityOf(shared)["service.instance.id"]).toBe("one");
    expect(identityOf({ ...shared, NODE_APP_INSTANCE: "0" })["service.instance.id"]).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe("the identity of a process of its own", () => {
  it.each([{}, { pm2_env: "{" }, { pm2_env: "null" }, { NODE_APP_INSTANCE: "first" }])("leads itself: %o", (odd) => {
    expect(identityOf(odd)).not.toHaveProperty("tidemark.worker.index");
    expect(identityOf(odd)["tidemark.group.id"]).toBe(`${hostname()}:${process.pid}`);
  });
});
