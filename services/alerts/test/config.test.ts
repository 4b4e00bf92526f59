import { expect, it } from "vitest";
import { configFromEnvironment } from "../src/config.ts";

it("has defaults for a laptop", () => {
  expect(configFromEnvironment({})).toMatchObject({
    host: "127.0.0.1",
    port: 4301,
    clickhouseUrl: "http://127.0.0.1:8123/tidemark",
    intervalS: 10,
    profile: "production",
    webhookUrls: [],
    alertmanagerUrls: [],
    linkBase: "",
  });
});

it("takes several receivers", () => {
  const { webhookUrls } = configFromEnvironment({ TIDEMARK_ALERTS_WEBHOOK_URL: "http://a/x, https://b/y?z=1," });
  expect(webhookUrls.map(String)).toEqual(["http://a/x", "https://b/y?z=1"]);
});

it.each([
  ["TIDEMARK_ALERTS_PORT", "http", "TIDEMARK_ALERTS_PORT is"],
  ["TIDEMARK_ALERTS_INTERVAL", "0", "TIDEMARK_ALERTS_INTERVAL is"],
  ["TIDEMARK_ALERTS_PROFILE", "quick", "TIDEMARK_ALERTS_PROFILE is"],
  ["TIDEMARK_ALERTS_WEBHOOK_URL", "hooks/secret", "TIDEMARK_ALERTS_WEBHOOK_URL is not"],
  ["TIDEMARK_ALERTMANAGER_URL", "ftp://x:secret@y", "TIDEMARK_ALERTMANAGER_URL is not"],
])("refuses %s=%s by its name, without repeating what may be a secret", (name, value, message) => {
  const attempt = () => configFromEnvironment({ [name]: value });
  expect(attempt).toThrow(message);
  expect(attempt).not.toThrow("secret");
});

it("wants a token as soon as other machines can reach it", () => {
  expect(() => configFromEnvironment({ TIDEMARK_ALERTS_HOST: "0.0.0.0" })).toThrow("set TIDEMARK_TOKEN");
  expect(configFromEnvironment({ TIDEMARK_ALERTS_HOST: "0.0.0.0", TIDEMARK_TOKEN: "t" })).toMatchObject({
    host: "0.0.0.0",
    token: "t",
  });
});
