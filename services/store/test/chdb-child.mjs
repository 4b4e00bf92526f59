/**
 * Runs SQL in the embedded engine with a configuration file of the test's: `fork(this, [data, config])`, then a message
 * per statement. A process of its own, as an engine with replicated tables and no real Keeper does not close.
 */
import { createRequire } from "node:module";

const ofEngine = createRequire(createRequire(import.meta.url).resolve("@tidemark/engine/package.json"));
const { Session } = ofEngine("chdb");
const [data, config] = process.argv.slice(2);
const session = new Session(data, { connectionArgs: [`--config-file=${config}`] });
process.on("message", (sql) => {
  try {
    process.send({ result: session.query(sql, "TSVRaw").trim() });
  } catch (error) {
    process.send({ error: error.message });
  }
});
